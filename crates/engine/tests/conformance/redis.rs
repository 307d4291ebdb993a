//! The harnesses for the store in Redis: on one server for each test, and on a cluster that all tests share.
//!
//! The suite also needs a queue. It uses the queue of the embedded engine.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use forebay_engine::{
    distributed::store::{RedisSettings, RedisStore},
    embedded::{Embedded, QUEUE_CAPACITY},
};
use forebay_shared::{queue::Queue, store::Store};
use servers::redis::{Cluster, Redis, RedisOptions};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard};

use crate::harness::Harness;

/// A store on one server.
pub(crate) struct RedisHarness {
    server: Redis,
    store: Arc<RedisStore>,
    queue: InProcessQueue,
}

impl Harness for RedisHarness {
    const QUEUE_CAPACITY: Option<usize> = Some(QUEUE_CAPACITY);

    async fn start() -> Self {
        let server = Redis::start(RedisOptions::default()).await.unwrap();
        let store = connect(&RedisSettings::new(server.url())).await;
        let queue = InProcessQueue::new();
        Self {
            server,
            store,
            queue,
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn queue(&self) -> Arc<dyn Queue> {
        self.queue.engine.queue()
    }

    async fn restart(&mut self) {
        // The server is killed. A stop could still write commits to the disk that were confirmed too early.
        self.server.kill9().await.unwrap();
        self.server.restart().await.unwrap();
        self.store = connect(&RedisSettings::new(self.server.url())).await;
        self.queue = InProcessQueue::new();
    }
}

/// A store on the cluster. The keys of each test have their own prefix.
pub(crate) struct ClusterHarness {
    settings: RedisSettings,
    store: Arc<RedisStore>,
    queue: InProcessQueue,
    /// A read guard of the shared cluster. A test that restarts the cluster waits until no other test holds a guard.
    cluster: Option<RwLockReadGuard<'static, Cluster>>,
}

/// The shared cluster. The lock is held for writing during a restart.
static CLUSTER: OnceCell<RwLock<Cluster>> = OnceCell::const_new();
/// The number of the next test's key prefix.
static NEXT_PREFIX: AtomicU64 = AtomicU64::new(0);

async fn cluster() -> &'static RwLock<Cluster> {
    CLUSTER
        .get_or_init(|| async { RwLock::new(Cluster::start().await.unwrap()) })
        .await
}

impl Harness for ClusterHarness {
    const QUEUE_CAPACITY: Option<usize> = Some(QUEUE_CAPACITY);

    async fn start() -> Self {
        let cluster = cluster().await.read().await;
        let mut settings = RedisSettings::new(cluster.urls().join(","));
        settings.prefix = format!("t{}", NEXT_PREFIX.fetch_add(1, Ordering::Relaxed));
        let store = connect(&settings).await;
        Self {
            settings,
            store,
            queue: InProcessQueue::new(),
            cluster: Some(cluster),
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn queue(&self) -> Arc<dyn Queue> {
        self.queue.engine.queue()
    }

    async fn restart(&mut self) {
        self.cluster = None;
        {
            let cluster = cluster().await.write().await;
            for node in cluster.nodes() {
                node.kill9().await.unwrap();
                node.restart().await.unwrap();
            }
            cluster.until_agreed().await.unwrap();
        }
        self.cluster = Some(cluster().await.read().await);
        self.store = connect(&self.settings).await;
        self.queue = InProcessQueue::new();
    }
}

async fn connect(settings: &RedisSettings) -> Arc<RedisStore> {
    Arc::new(RedisStore::connect(settings).await.unwrap())
}

/// The embedded engine, of which only the queue in memory is used.
struct InProcessQueue {
    engine: Embedded,
    _folder: tempfile::TempDir,
}

impl InProcessQueue {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Embedded::open(folder.path()).unwrap();
        Self {
            engine,
            _folder: folder,
        }
    }
}
