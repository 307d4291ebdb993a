//! The keys of the store, held in memory: a request costs no call of the store.
//!
//! A task reads the version of the set of keys every two seconds, and loads the keys when the version has changed. So a key
//! that was revoked at another gateway is refused within 5 s. While the store does not respond, the last known
//! keys stay valid. `key_uses` records when keys were used.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    store::{ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKey},
    time::TimeMs,
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    caller::Caller, generated_key, hash_index::HashIndex, key_hash::KeyHash, key_uses::KeyUses,
    scopes::Scopes,
};
use crate::store_call::{self, LARGE_STORE_TIMEOUT, STORE_TIMEOUT};

/// How often the version of the set is read. With the time limit of a store call, a change is known within 5 s.
const READ_EVERY: Duration = Duration::from_secs(2);
const _: () = assert!(READ_EVERY.as_millis() + STORE_TIMEOUT.as_millis() < 5_000);
/// How often an error that lasts is logged, and how often expired keys are deleted.
const MINUTE: Duration = Duration::from_secs(60);
/// How long an expired key is listed before it is deleted, in milliseconds. This is a week.
const EXPIRED_KEPT_MS: u64 = 7 * 86_400_000;
/// The most expired keys that are deleted in a minute.
const DELETED_AT_ONCE: usize = 100;

/// The result of a search for a key.
pub(super) enum FoundKey {
    Caller(Caller),
    /// No key that is valid now has this text.
    Unknown,
    /// The keys were not read yet, so one of them may have this text.
    NotRead,
}

/// The keys of the store.
pub(crate) struct StoredKeys {
    store: Arc<dyn ApiKeyStore>,
    /// Returns the time of the store's clock.
    now: Box<dyn Fn() -> TimeMs + Send + Sync>,
    /// `None` until the keys were read once.
    keys: RwLock<Option<Arc<LoadedKeys>>>,
    /// One read at a time, so that an older set never replaces a newer one.
    reading: Mutex<()>,
}

/// The keys of one version of the set.
struct LoadedKeys {
    version: ApiKeysVersion,
    index: HashIndex<LoadedKey>,
}

struct LoadedKey {
    id: ApiKeyId,
    caller: Caller,
    expires_at: Option<TimeMs>,
    uses: Arc<KeyUses>,
}

impl LoadedKey {
    fn is_valid(&self, now: TimeMs) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

impl StoredKeys {
    /// The keys of this store. `now` returns the time of its clock.
    pub(super) fn new(
        store: Arc<dyn ApiKeyStore>,
        now: impl Fn() -> TimeMs + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            now: Box::new(now),
            keys: RwLock::new(None),
            reading: Mutex::new(()),
        }
    }

    /// Finds the caller with this key, and remembers the use. A text with a wrong checksum is not looked up.
    pub(super) fn find(&self, key: &str) -> FoundKey {
        if !generated_key::is_well_formed(key) {
            return FoundKey::Unknown;
        }
        let Some(keys) = self.loaded() else {
            return FoundKey::NotRead;
        };
        let now = (self.now)();
        match keys.index.find(KeyHash::of(key)) {
            Some(found) if found.is_valid(now) => {
                found.uses.remember_use(now);
                FoundKey::Caller(found.caller.clone())
            }
            _ => FoundKey::Unknown,
        }
    }

    /// Whether the key of this caller is still valid, with the same tenant and scopes.
    pub(super) fn has(&self, caller: &Caller) -> bool {
        let (Some(keys), Some(hash)) = (self.loaded(), caller.key_hash()) else {
            return false;
        };
        let found = keys.index.find(hash);
        found.is_some_and(|found| {
            found.is_valid((self.now)()) && found.caller.has_same_rights(caller)
        })
    }

    fn loaded(&self) -> Option<Arc<LoadedKeys>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// Reads the keys every two seconds and records their uses, for as long as the future is polled.
    pub(crate) async fn read_changes(self: Arc<Self>) {
        // Records and deletions may take long, and must not delay the read of a revocation.
        tokio::join!(self.read_repeatedly(), self.record_repeatedly());
    }

    /// Records uses and deletes expired keys, each about once a minute.
    async fn record_repeatedly(&self) {
        let (mut recorded, mut deleted): (Option<Instant>, Option<Instant>) = (None, None);
        let is_due = |last: Option<Instant>| last.is_none_or(|last| last.elapsed() >= MINUTE);
        loop {
            tokio::time::sleep(READ_EVERY).await;
            if is_due(recorded) && self.record_uses().await {
                recorded = Some(Instant::now());
            }
            if is_due(deleted) && self.loaded().is_some() {
                self.delete_expired().await;
                deleted = Some(Instant::now());
            }
        }
    }

    async fn read_repeatedly(&self) {
        // Since when the store cannot be read, and when that was logged last.
        let mut failing: Option<(Instant, Instant)> = None;
        loop {
            // After a failure, the read gets more time, because all keys together may be large.
            let read = match failing {
                None => self.read().await,
                Some(_) => self.read_within(LARGE_STORE_TIMEOUT).await,
            };
            match read {
                Ok(()) => {
                    if failing.take().is_some() {
                        tracing::info!("the API keys of the store can be read again");
                    }
                }
                Err(error) => {
                    let now = Instant::now();
                    let (since, logged) = failing.unwrap_or((now, now));
                    let is_due = failing.is_none() || now - logged >= MINUTE;
                    if is_due {
                        tracing::error!(
                            %error,
                            failing_for_s = (now - since).as_secs(),
                            "the API keys of the store cannot be read: the last known keys stay valid, also those that were revoked"
                        );
                    }
                    failing = Some((since, if is_due { now } else { logged }));
                }
            }
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    /// Loads the keys if the set has changed.
    pub(crate) async fn read(&self) -> Result<(), StoreError> {
        self.read_within(STORE_TIMEOUT).await
    }

    async fn read_within(&self, time: Duration) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        let before = self.loaded();
        let known = before.as_ref().map(|keys| keys.version);
        let changed = store_call::within(time, self.store.api_keys(known)).await?;
        let Some(changed) = changed else {
            return Ok(());
        };
        for unreadable in &changed.unreadable {
            let (unreadable_key_id, error) = (&unreadable.id, &unreadable.error);
            tracing::warn!(unreadable_key_id, %error, "an API key of the store is refused, because this release cannot read it");
        }
        let mut uses: HashMap<&ApiKeyId, &Arc<KeyUses>> = HashMap::new();
        if let Some(before) = &before {
            uses.extend(before.index.values().map(|key| (&key.id, &key.uses)));
        }
        let mut index = HashIndex::default();
        for StoredApiKey { key, last_used_at } in changed.keys {
            let known_uses = uses.get(&key.id).map(|uses| Arc::clone(uses));
            let uses = known_uses.unwrap_or_else(|| Arc::new(KeyUses::recorded(last_used_at)));
            let Some(hash) = KeyHash::of_hex(&key.sha256) else {
                tracing::error!(refused_key_id = %key.id, "an API key of the store is refused, because its hash does not have 64 hexadecimal digits");
                continue;
            };
            let loaded = load(key, hash, uses);
            index.add(hash, loaded);
        }
        if before.is_some() || index.len() > 0 {
            tracing::info!(keys = index.len(), "API keys of the store read");
        }
        let keys = LoadedKeys {
            version: changed.version,
            index,
        };
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
        Ok(())
    }

    /// Records the uses since the last record. Returns whether there were any uses, and the store has them now.
    pub(crate) async fn record_uses(&self) -> bool {
        let Some(keys) = self.loaded() else {
            return false;
        };
        let new_uses = keys.index.values().filter_map(|key| {
            let at = key.uses.unrecorded()?;
            Some((key, at))
        });
        let new_uses: Vec<(&LoadedKey, TimeMs)> = new_uses.collect();
        for batch in new_uses.chunks(1_000) {
            let uses: Vec<_> = batch
                .iter()
                .map(|(key, at)| (key.id.clone(), *at))
                .collect();
            let recording = self.store.record_api_key_uses(&uses);
            if let Err(error) = store_call::within_timeout(recording).await {
                tracing::debug!(%error, "the uses of API keys are recorded later");
                return false;
            }
            for (key, at) in batch {
                key.uses.set_recorded(*at);
            }
        }
        !new_uses.is_empty()
    }

    /// Deletes keys that expired long ago, so that they do not count against the limit on the keys of a store.
    async fn delete_expired(&self) {
        let Some(keys) = self.loaded() else {
            return;
        };
        let now = (self.now)();
        let expired = keys.index.values().filter(|key| {
            let kept_until = key.expires_at.map(|at| at.plus_ms(EXPIRED_KEPT_MS));
            kept_until.is_some_and(|kept_until| kept_until <= now)
        });
        for key in expired.take(DELETED_AT_ONCE) {
            let removal = self.store.remove_api_key(&key.id);
            match store_call::within_timeout(removal).await {
                Ok(_) => {
                    tracing::info!(deleted_key_id = %key.id, "an API key was deleted a week after it expired");
                }
                Err(error) => {
                    tracing::debug!(%error, "an expired API key is deleted later");
                    return;
                }
            }
        }
    }
}

fn load(key: ApiKey, hash: KeyHash, uses: Arc<KeyUses>) -> LoadedKey {
    let scopes = Scopes::of_names(key.scopes.iter().map(String::as_str));
    LoadedKey {
        caller: Caller::with_key(key.tenant, hash, key.id.shared_text(), scopes),
        id: key.id,
        expires_at: key.expires_at,
        uses,
    }
}

#[cfg(test)]
mod tests;
