//! The tables of API keys, and the calls about them.

use async_trait::async_trait;
use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    document,
    store::{
        API_KEYS_MAX, ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKey, StoredApiKeys,
        UnreadableApiKey,
    },
    time::TimeMs,
};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    columns::{TimeColumn, VersionColumn, size},
    sqlite_store::SqliteStore,
};
use crate::rejection::{OnStoreFull, broken_data};

/// A row: the id, the document and the last use.
type Row = (String, String, Option<TimeColumn>);

#[async_trait]
impl ApiKeyStore for SqliteStore {
    async fn api_keys(
        &self,
        known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError> {
        let Some((version, rows)) = self.read(move |db| read(db, known)).await? else {
            return Ok(None);
        };
        let mut stored = StoredApiKeys {
            version,
            ..StoredApiKeys::default()
        };
        for (id, doc, last_used_at) in rows {
            match document::read::<ApiKey>(doc.as_bytes()) {
                Ok(key) => stored.keys.push(StoredApiKey {
                    key,
                    last_used_at: last_used_at.map(|TimeColumn(time)| time),
                }),
                Err(error) => stored.unreadable.push(UnreadableApiKey {
                    id,
                    error: error.into(),
                }),
            }
        }
        Ok(Some(stored))
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        let id = key.id.to_string();
        let doc = serde_json::to_string(key).map_err(broken_data)?;
        let version = ApiKeysVersion::new_v4();
        self.write(OnStoreFull::Refuse, move |db| add(db, &id, &doc, version))
            .await
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let id = id.to_string();
        let version = ApiKeysVersion::new_v4();
        self.write(OnStoreFull::Retry, move |db| remove(db, &id, version))
            .await
    }

    async fn record_api_key_uses(&self, uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.write(OnStoreFull::Retry, move |db| record_uses(db, &uses))
            .await
    }
}

/// The version of the set and its rows, if the version is not the known one.
fn read(
    db: &Connection,
    known: Option<ApiKeysVersion>,
) -> rusqlite::Result<Option<(ApiKeysVersion, Vec<Row>)>> {
    // Both statements read the same snapshot, so the rows belong to the version.
    let version = db
        .prepare_cached("SELECT version FROM api_keys_version")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let version = version.map_or(ApiKeysVersion::nil(), |VersionColumn(version)| version);
    if known == Some(version) {
        return Ok(None);
    }
    let rows = db
        .prepare_cached("SELECT id, doc, last_used_at FROM api_keys")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some((version, rows)))
}

fn add(db: &Connection, id: &str, doc: &str, version: ApiKeysVersion) -> rusqlite::Result<bool> {
    let stored: Option<String> = db
        .prepare_cached("SELECT doc FROM api_keys WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    if let Some(stored) = stored {
        return Ok(stored == doc);
    }
    let added = db
        .prepare_cached(
            "INSERT INTO api_keys (id, doc) SELECT ?1, ?2 WHERE (SELECT count(*) FROM api_keys) < ?3",
        )?
        .execute((id, doc, size(API_KEYS_MAX)))?;
    if added > 0 {
        set_version(db, version)?;
    }
    Ok(added > 0)
}

fn remove(db: &Connection, id: &str, version: ApiKeysVersion) -> rusqlite::Result<bool> {
    let removed = db
        .prepare_cached("DELETE FROM api_keys WHERE id = ?1")?
        .execute([id])?;
    if removed > 0 {
        set_version(db, version)?;
    }
    Ok(removed > 0)
}

fn record_uses(db: &Connection, uses: &[(ApiKeyId, TimeMs)]) -> rusqlite::Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND ifnull(last_used_at, -1) < ?2",
    )?;
    for (id, at) in uses {
        update.execute((id.as_str(), TimeColumn(*at)))?;
    }
    Ok(())
}

fn set_version(db: &Connection, version: ApiKeysVersion) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO api_keys_version (n, version) VALUES (1, ?1)")?
        .execute([VersionColumn(version)])?;
    Ok(())
}
