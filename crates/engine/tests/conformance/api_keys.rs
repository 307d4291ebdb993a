//! The API keys: a set with a version, bounded in number, and the times of last uses.

use std::sync::Arc;

use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    document::{DocumentVersion, UnknownFields},
    ids::TenantId,
    store::{API_KEYS_MAX, Store, StoredApiKey, StoredApiKeys},
    time::TimeMs,
};
use tokio::task::JoinSet;

use crate::harness::Harness;

fn key(number: usize) -> ApiKey {
    ApiKey {
        v: DocumentVersion::FIRST,
        id: ApiKeyId::parse(&format!("key_{number:016}")).unwrap(),
        tenant: TenantId::parse(&format!("tenant-{number}")).unwrap(),
        scopes: vec![String::from("submit"), String::from("read")],
        sha256: "ab".repeat(32),
        created_at: TimeMs(1_000),
        expires_at: None,
        name: None,
        unknown: UnknownFields::NONE,
    }
}

fn unused(key: &ApiKey) -> StoredApiKey {
    StoredApiKey {
        key: key.clone(),
        last_used_at: None,
    }
}

/// All keys, in the order of their ids.
async fn read(store: &dyn Store) -> StoredApiKeys {
    let mut stored = store.api_keys(None).await.unwrap().unwrap();
    assert!(stored.unreadable.is_empty(), "{:?}", stored.unreadable);
    stored
        .keys
        .sort_by(|one, other| one.key.id.cmp(&other.key.id));
    stored
}

pub(crate) async fn are_added_and_removed(engine: impl Harness) {
    let store = engine.store();
    assert_eq!(read(store.as_ref()).await.keys, []);
    let first = key(1);
    let mut second = key(2);
    second.expires_at = Some(TimeMs(2_000));
    second.name = Some(String::from("an 'odd' name \u{1f511}"));
    for key in [&first, &second] {
        assert!(store.add_api_key(key).await.unwrap());
    }
    let both = [unused(&first), unused(&second)];
    assert_eq!(read(store.as_ref()).await.keys, both);
    // A repeat is harmless, and no other key takes an id.
    assert!(store.add_api_key(&first).await.unwrap());
    let mut other = key(3);
    other.id = first.id.clone();
    assert!(!store.add_api_key(&other).await.unwrap());
    assert_eq!(read(store.as_ref()).await.keys, both);

    assert!(store.remove_api_key(&first.id).await.unwrap());
    assert!(!store.remove_api_key(&first.id).await.unwrap());
    assert_eq!(read(store.as_ref()).await.keys, [unused(&second)]);
}

pub(crate) async fn have_a_version_that_each_change_replaces(engine: impl Harness) {
    let store = engine.store();
    let mut versions = vec![read(store.as_ref()).await.version];
    for change in 0..4 {
        let known = versions.last().copied();
        let unchanged = store.api_keys(known).await.unwrap();
        assert!(unchanged.is_none(), "before change {change}");
        match change {
            0 | 1 => assert!(store.add_api_key(&key(change)).await.unwrap()),
            _ => assert!(store.remove_api_key(&key(change - 2).id).await.unwrap()),
        }
        let changed = store.api_keys(known).await.unwrap();
        let version = changed.expect("the set has changed").version;
        assert!(!versions.contains(&version), "change {change}");
        versions.push(version);
    }
    // A call that changes nothing keeps the version.
    let known = versions.last().copied();
    assert!(!store.remove_api_key(&key(0).id).await.unwrap());
    assert!(store.api_keys(known).await.unwrap().is_none());
}

pub(crate) async fn record_their_last_use(engine: impl Harness) {
    let store = engine.store();
    let (used, other) = (key(1), key(2));
    for key in [&used, &other] {
        assert!(store.add_api_key(key).await.unwrap());
    }
    let version = read(store.as_ref()).await.version;
    let last_use = async || {
        let stored = read(store.as_ref()).await;
        assert_eq!(stored.version, version, "a use changed the version");
        assert_eq!(stored.keys[1], unused(&other));
        stored.keys[0].last_used_at
    };
    let removed = key(3).id;
    for (at, recorded) in [
        (5_000, 5_000),
        (4_000, 5_000),
        (1_764_000_000_120, 1_764_000_000_120),
    ] {
        let uses = [(removed.clone(), TimeMs(at)), (used.id.clone(), TimeMs(at))];
        store.record_api_key_uses(&uses).await.unwrap();
        assert_eq!(last_use().await, Some(TimeMs(recorded)), "a use at {at}");
    }
    store.record_api_key_uses(&[]).await.unwrap();
    // A key that is made again begins without a use.
    assert!(store.remove_api_key(&used.id).await.unwrap());
    assert!(store.add_api_key(&used).await.unwrap());
    assert_eq!(read(store.as_ref()).await.keys[0], unused(&used));
}

pub(crate) async fn are_limited_in_number(engine: impl Harness) {
    let store = engine.store();
    let mut adds = JoinSet::new();
    for begin in 0..100 {
        let store: Arc<dyn Store> = store.clone();
        adds.spawn(async move {
            for number in (begin..API_KEYS_MAX).step_by(100) {
                assert!(store.add_api_key(&key(number)).await.unwrap());
            }
        });
    }
    adds.join_all().await;
    let surplus = key(API_KEYS_MAX);
    assert!(!store.add_api_key(&surplus).await.unwrap());
    assert_eq!(read(store.as_ref()).await.keys.len(), API_KEYS_MAX);
    let uses: Vec<_> = (0..API_KEYS_MAX)
        .map(|number| (key(number).id, TimeMs(7_000)))
        .collect();
    store.record_api_key_uses(&uses).await.unwrap();
    let keys = read(store.as_ref()).await.keys;
    assert!(
        keys.iter()
            .all(|key| key.last_used_at == Some(TimeMs(7_000)))
    );
    // A removed key makes space.
    assert!(store.remove_api_key(&key(7).id).await.unwrap());
    assert!(store.add_api_key(&surplus).await.unwrap());
}

pub(crate) async fn keep_what_a_newer_release_wrote(engine: impl Harness) {
    let store = engine.store();
    let document = serde_json::json!({
        "id": key(1).id, "tenant": "t", "scopes": ["read", "new"], "sha256": "ab".repeat(32),
        "created_at": 1_000, "new_field": {"deep": [1]},
    });
    let newer_fields: ApiKey = serde_json::from_value(document).unwrap();
    let mut newer_version = key(2);
    newer_version.v = DocumentVersion(2);
    for key in [&newer_fields, &newer_version] {
        assert!(store.add_api_key(key).await.unwrap());
    }
    let stored = store.api_keys(None).await.unwrap().unwrap();
    assert_eq!(stored.keys, [unused(&newer_fields)]);
    let [unreadable] = &stored.unreadable[..] else {
        panic!("one key should be unreadable: {:?}", stored.unreadable);
    };
    assert_eq!(unreadable.id, newer_version.id.as_str());
    // A key that cannot be read can still be removed.
    assert!(store.remove_api_key(&newer_version.id).await.unwrap());
    assert_eq!(read(store.as_ref()).await.keys.len(), 1);
}

pub(crate) async fn survive_a_restart(mut engine: impl Harness) {
    let store = engine.store();
    assert!(store.add_api_key(&key(1)).await.unwrap());
    let uses = [(key(1).id, TimeMs(9_000))];
    store.record_api_key_uses(&uses).await.unwrap();
    let before = read(store.as_ref()).await;
    drop(store);
    engine.restart().await;
    let store = engine.store();
    assert_eq!(read(store.as_ref()).await.keys, before.keys);
    let unchanged = store.api_keys(Some(before.version)).await.unwrap();
    assert!(unchanged.is_none());
}
