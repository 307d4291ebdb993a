//! Tests of the keys in memory, with a store and a clock that the tests control.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    document::{DocumentVersion, UnknownFields},
    ids::TenantId,
    secret::Secret,
    store::{
        ApiKeyStore, ApiKeysVersion, StoreError, StoredApiKey, StoredApiKeys, UnreadableApiKey,
    },
    time::TimeMs,
};

use super::{EXPIRED_KEPT_MS, FoundKey, StoredKeys};
use crate::auth::{Caller, KeyHash, Scope, generated_key};

/// The time at which the clock begins.
const START_MS: u64 = 10 * EXPIRED_KEPT_MS;

/// A store in memory that a test can make unavailable.
#[derive(Default)]
struct MemoryKeys {
    keys: Mutex<Vec<StoredApiKey>>,
    version: AtomicU64,
    is_down: AtomicBool,
}

impl MemoryKeys {
    fn check(&self) -> Result<(), StoreError> {
        match self.is_down.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable(None)),
            false => Ok(()),
        }
    }

    fn version(&self) -> ApiKeysVersion {
        ApiKeysVersion::from_u128(self.version.load(Ordering::Relaxed).into())
    }
}

#[async_trait]
impl ApiKeyStore for MemoryKeys {
    async fn api_keys(
        &self,
        known: Option<ApiKeysVersion>,
    ) -> Result<Option<StoredApiKeys>, StoreError> {
        self.check()?;
        if known == Some(self.version()) {
            return Ok(None);
        }
        let keys = self.keys.lock().expect("the lock").clone();
        let (keys, newer): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|stored| stored.key.v == DocumentVersion::FIRST);
        let unreadable = newer.into_iter().map(|stored| UnreadableApiKey {
            id: stored.key.id.to_string(),
            error: StoreError::Broken("of a newer release".into()),
        });
        Ok(Some(StoredApiKeys {
            version: self.version(),
            keys,
            unreadable: unreadable.collect(),
        }))
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.version.fetch_add(1, Ordering::Relaxed);
        self.keys.lock().expect("the lock").push(StoredApiKey {
            key: key.clone(),
            last_used_at: None,
        });
        Ok(true)
    }

    async fn remove_api_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        self.version.fetch_add(1, Ordering::Relaxed);
        let mut keys = self.keys.lock().expect("the lock");
        let before = keys.len();
        keys.retain(|stored| stored.key.id != *id);
        Ok(keys.len() < before)
    }

    async fn record_api_key_uses(&self, uses: &[(ApiKeyId, TimeMs)]) -> Result<(), StoreError> {
        self.check()?;
        let mut keys = self.keys.lock().expect("the lock");
        for (id, at) in uses {
            let stored = keys.iter_mut().find(|stored| stored.key.id == *id);
            stored.expect("a key of the store").last_used_at = Some(*at);
        }
        Ok(())
    }
}

struct Fixture {
    store: Arc<MemoryKeys>,
    now_ms: Arc<AtomicU64>,
    keys: StoredKeys,
}

impl Fixture {
    fn new() -> Self {
        let store = Arc::new(MemoryKeys::default());
        let now_ms = Arc::new(AtomicU64::new(START_MS));
        let keys = gateway(&store, &now_ms);
        Self {
            store,
            now_ms,
            keys,
        }
    }

    fn now(&self) -> TimeMs {
        TimeMs(self.now_ms.load(Ordering::Relaxed))
    }

    fn set_down(&self, is_down: bool) {
        self.store.is_down.store(is_down, Ordering::Relaxed);
    }

    /// Adds a key of this tenant, changed by `change`. Returns the key and its document.
    async fn add(&self, tenant: &str, change: impl FnOnce(&mut ApiKey)) -> (Secret, ApiKey) {
        let secret = generated_key::generate();
        let mut key = ApiKey {
            v: DocumentVersion::FIRST,
            id: generated_key::generate_id().expect("an id"),
            tenant: TenantId::parse(tenant).expect("a tenant"),
            scopes: vec![String::from("read"), String::from("of a newer release")],
            sha256: KeyHash::of(secret.expose()).to_hex(),
            created_at: self.now(),
            expires_at: None,
            name: None,
            unknown: UnknownFields::NONE,
        };
        change(&mut key);
        assert!(self.store.add_api_key(&key).await.expect("added"));
        (secret, key)
    }

    fn caller(&self, secret: &Secret) -> Option<Caller> {
        match self.keys.find(secret.expose()) {
            FoundKey::Caller(caller) => Some(caller),
            FoundKey::Unknown => None,
            FoundKey::NotRead => panic!("the keys were not read"),
        }
    }

    fn last_used_at(&self, key: &ApiKey) -> Option<TimeMs> {
        let keys = self.store.keys.lock().expect("the lock");
        let stored = keys.iter().find(|stored| stored.key.id == key.id);
        stored.expect("the key is stored").last_used_at
    }
}

/// The keys of a gateway over this store.
fn gateway(store: &Arc<MemoryKeys>, now_ms: &Arc<AtomicU64>) -> StoredKeys {
    let now_ms = Arc::clone(now_ms);
    let now = move || TimeMs(now_ms.load(Ordering::Relaxed));
    StoredKeys::new(Arc::clone(store) as _, now)
}

#[tokio::test]
async fn a_key_is_unknown_only_once_the_keys_were_read() {
    let fixture = Fixture::new();
    let (secret, _) = fixture.add("shop", |_| {}).await;
    let find = |text: &str| fixture.keys.find(text);
    assert!(matches!(find(secret.expose()), FoundKey::NotRead));
    // No stored key has this text, whatever the store has.
    let wrong_checksum = format!("{}0", secret.expose());
    assert!(matches!(find(&wrong_checksum), FoundKey::Unknown));
    assert!(matches!(find("another-form"), FoundKey::Unknown));

    fixture.keys.read().await.expect("read");
    let caller = fixture.caller(&secret).expect("the key is valid");
    assert_eq!(caller.tenant().as_str(), "shop");
    assert!(caller.may(Scope::Read) && !caller.may(Scope::Submit) && !caller.may(Scope::Admin));
    assert!(fixture.caller(&generated_key::generate()).is_none());
}

#[tokio::test]
async fn a_removed_key_is_refused_and_an_unreachable_store_removes_none() {
    let fixture = Fixture::new();
    let (first, first_key) = fixture.add("shop", |_| {}).await;
    fixture.keys.read().await.expect("read");
    let (second, _) = fixture.add("bank", |_| {}).await;
    let caller = fixture.caller(&first).expect("the key is valid");
    assert!(fixture.keys.has(&caller));
    assert!(fixture.caller(&second).is_none(), "not read yet");

    fixture.set_down(true);
    assert!(fixture.keys.read().await.is_err());
    assert!(fixture.caller(&first).is_some());
    fixture.set_down(false);
    let removed = fixture.store.remove_api_key(&first_key.id).await;
    assert!(removed.expect("removed"));
    fixture.keys.read().await.expect("read");
    assert!(fixture.caller(&first).is_none());
    assert!(!fixture.keys.has(&caller));
    assert!(fixture.caller(&second).is_some());
}

#[tokio::test]
async fn an_expired_key_is_refused_without_a_read() {
    let fixture = Fixture::new();
    let in_a_second = Some(fixture.now().plus_ms(1_000));
    let (secret, _) = fixture
        .add("shop", |key| key.expires_at = in_a_second)
        .await;
    fixture.keys.read().await.expect("read");
    fixture.now_ms.fetch_add(999, Ordering::Relaxed);
    let caller = fixture.caller(&secret).expect("the key is valid");
    assert!(fixture.keys.has(&caller));
    fixture.now_ms.fetch_add(1, Ordering::Relaxed);
    assert!(fixture.caller(&secret).is_none());
    assert!(!fixture.keys.has(&caller));
}

#[tokio::test]
async fn a_key_that_this_release_cannot_read_is_refused() {
    let fixture = Fixture::new();
    let (newer, _) = fixture.add("shop", |key| key.v = DocumentVersion(2)).await;
    let (odd, _) = fixture.add("shop", |key| key.sha256 = "z".repeat(64)).await;
    let (valid, _) = fixture.add("shop", |_| {}).await;
    fixture.keys.read().await.expect("read");
    assert!(fixture.caller(&newer).is_none());
    assert!(fixture.caller(&odd).is_none());
    assert!(fixture.caller(&valid).is_some());
}

#[tokio::test]
async fn uses_are_recorded_once_and_survive_a_change_of_the_set() {
    let fixture = Fixture::new();
    let (used, used_key) = fixture.add("shop", |_| {}).await;
    let (_, unused_key) = fixture.add("shop", |_| {}).await;
    fixture.keys.read().await.expect("read");
    assert!(!fixture.keys.record_uses().await, "no key was used");
    assert!(fixture.caller(&used).is_some());

    // The set changes, and the store fails once, before the use is recorded.
    fixture.add("bank", |_| {}).await;
    fixture.keys.read().await.expect("read");
    fixture.set_down(true);
    assert!(!fixture.keys.record_uses().await);
    fixture.set_down(false);
    assert!(fixture.keys.record_uses().await);
    assert_eq!(fixture.last_used_at(&used_key), Some(fixture.now()));
    assert_eq!(fixture.last_used_at(&unused_key), None);
    assert!(
        !fixture.keys.record_uses().await,
        "the use is recorded already"
    );

    // Another gateway begins with the use that the store has.
    let other = gateway(&fixture.store, &fixture.now_ms);
    other.read().await.expect("read");
    assert!(!other.record_uses().await);
}

#[tokio::test]
async fn a_key_that_expired_a_week_ago_is_deleted() {
    let fixture = Fixture::new();
    let now = fixture.now();
    let before = |ms| Some(TimeMs(now.0 - ms));
    let long_ago = before(EXPIRED_KEPT_MS);
    let (_, gone) = fixture.add("shop", |key| key.expires_at = long_ago).await;
    let lately = before(EXPIRED_KEPT_MS - 60_000);
    let (_, kept) = fixture.add("shop", |key| key.expires_at = lately).await;
    fixture.keys.read().await.expect("read");
    fixture.keys.delete_expired().await;
    let stored = fixture.store.api_keys(None).await.expect("read");
    let ids = stored.expect("the keys").keys.into_iter();
    let ids: Vec<_> = ids.map(|stored| stored.key.id).collect();
    assert_eq!(ids, [kept.id], "without {}", gone.id);
}
