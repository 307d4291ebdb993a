//! The harness for the embedded engine. Each test has its own folder.

use std::sync::Arc;

use forebay_engine::embedded::{Embedded, QUEUE_CAPACITY};
use forebay_shared::{queue::Queue, store::Store};

use crate::harness::Harness;

/// An embedded engine and its folder.
pub(crate) struct EmbeddedHarness {
    engine: Option<Embedded>,
    folder: tempfile::TempDir,
}

impl EmbeddedHarness {
    fn engine(&self) -> &Embedded {
        self.engine
            .as_ref()
            .expect("the engine is missing only during a restart")
    }
}

impl Harness for EmbeddedHarness {
    const QUEUE_CAPACITY: Option<usize> = Some(QUEUE_CAPACITY);

    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Some(Embedded::open(folder.path()).unwrap());
        Self { engine, folder }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.engine().store()
    }

    fn queue(&self) -> Arc<dyn Queue> {
        self.engine().queue()
    }

    async fn restart(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.close().await;
        }
        self.engine = Some(Embedded::open(self.folder.path()).unwrap());
    }
}
