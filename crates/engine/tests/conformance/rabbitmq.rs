//! The harness for the queue in RabbitMQ. The tests share a node, and each test uses a virtual host of its own.
//!
//! The suite also needs a store. It uses the store of the embedded engine.

use std::{sync::Arc, time::Duration};

use forebay_engine::{
    distributed::queue::{QueueSettings, RabbitQueue},
    embedded::Embedded,
};
use forebay_shared::{class::Class, queue::Queue, store::Store};
use servers::rabbit::{Rabbit, RabbitOptions, Vhost};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard};

use crate::harness::{Harness, TIMEOUT};

/// A queue on RabbitMQ.
pub(crate) struct RabbitHarness {
    queue: Arc<RabbitQueue>,
    vhost: Vhost,
    engine: Option<Embedded>,
    folder: tempfile::TempDir,
    /// A read guard of the shared node. A test that restarts the node waits until no other test holds a guard.
    node: Option<RwLockReadGuard<'static, Rabbit>>,
}

/// The shared node. The lock is held for writing during a restart.
static NODE: OnceCell<RwLock<Rabbit>> = OnceCell::const_new();

async fn node() -> &'static RwLock<Rabbit> {
    let start = async || RwLock::new(Rabbit::start(RabbitOptions::default()).await.unwrap());
    NODE.get_or_init(start).await
}

impl Harness for RabbitHarness {
    const QUEUE_CAPACITY: Option<usize> = None;

    async fn start() -> Self {
        let node = node().await.read().await;
        let vhost = node.vhost().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            queue: connect(&vhost).await,
            vhost,
            engine: Some(Embedded::open(folder.path()).unwrap()),
            folder,
            node: Some(node),
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.engine
            .as_ref()
            .expect("the engine is open except during a restart")
            .store()
    }

    fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue) as Arc<dyn Queue>
    }

    async fn restart(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.close().await;
        }
        self.engine = Some(Embedded::open(self.folder.path()).unwrap());
        self.node = None;
        {
            // The node is killed. A stop could still write messages to the disk that were confirmed too early.
            let node = node().await.write().await;
            node.kill9().await.unwrap();
            node.restart().await.unwrap();
        }
        self.node = Some(node().await.read().await);
        self.queue = connect(&self.vhost).await;
    }
}

async fn connect(vhost: &Vhost) -> Arc<RabbitQueue> {
    let queue = RabbitQueue::new(vhost.url(), &QueueSettings::new("conformance")).unwrap();
    let connected = async {
        while queue.depth(Class::Interactive).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let connected = tokio::time::timeout(TIMEOUT, connected).await;
    connected.expect("there is no connection to the node");
    Arc::new(queue)
}
