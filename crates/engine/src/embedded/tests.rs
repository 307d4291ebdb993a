//! Tests of the embedded engine as a unit: its store, its queue and its folder together.

use std::{fs, os::unix::fs::PermissionsExt as _};

use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, TenantId},
    queue::QueueError,
    store::{IdempotencyEntry, SetKeyResult, StoreError},
    time::TimeMs,
};

use super::*;

async fn set_key(store: &dyn Store, key: &str) -> Result<SetKeyResult, StoreError> {
    let tenant = TenantId::default();
    let entry = IdempotencyEntry {
        v: DocumentVersion::FIRST,
        job: JobId::fresh(&tenant, None),
        body_sha256: "00".repeat(32),
        created_at: TimeMs(1),
        refused: false,
        revision: 0,
        unknown: UnknownFields::NONE,
    };
    store
        .set_idempotency_key(&tenant, key, &entry, 3_600_000)
        .await
}

#[tokio::test]
async fn a_folder_is_locked_until_its_engine_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Embedded::open(folder.path()).unwrap();
    let (store, queue) = (engine.store(), engine.queue());
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    let consumer_ended = tokio::spawn(async move { consumer.next().await.is_none() });
    tokio::task::yield_now().await;
    let second = Embedded::open(folder.path());
    assert!(matches!(second, Err(OpenError::InUse { .. })));

    engine.close().await;
    assert!(consumer_ended.await.unwrap(), "the consumer got a delivery");
    assert!(
        set_key(store.as_ref(), "k")
            .await
            .unwrap_err()
            .is_transient()
    );
    assert!(store.counts().await.unwrap_err().is_transient());
    let closed = queue.consume(Class::Batch, 1).await;
    assert!(matches!(closed, Err(QueueError::Closed)));
    Embedded::open(folder.path()).unwrap().close().await;
}

#[tokio::test]
async fn concurrent_writes_share_transactions() {
    const WRITES: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let engine = Embedded::open(folder.path()).unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for index in 0..WRITES {
        let store = engine.store();
        writes.spawn(async move { set_key(store.as_ref(), &index.to_string()).await });
    }
    for written in writes.join_all().await {
        assert_eq!(written.unwrap(), SetKeyResult::Set);
    }
    assert!(engine.transactions() < WRITES as u64 / 2);
    engine.close().await;
}

/// The files are copied while the engine runs. So the copy equals the files that a killed process leaves behind.
#[tokio::test]
async fn a_confirmed_write_is_found_in_a_copy_of_the_files() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = Embedded::open(folder.path()).unwrap();
    let set = set_key(engine.store().as_ref(), "k").await;
    assert_eq!(set.unwrap(), SetKeyResult::Set);
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let copied_engine = Embedded::open(copy.path()).unwrap();
    let found = set_key(copied_engine.store().as_ref(), "k").await;
    assert!(
        matches!(found, Ok(SetKeyResult::AlreadySet(_))),
        "{found:?}"
    );
    copied_engine.close().await;
    engine.close().await;
}
