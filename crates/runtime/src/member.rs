//! A process of the fleet: its identity, the two ports, and the handles of the loops that gateways and
//! workers alike run.

use std::{pin::Pin, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    gauge::Gauge,
    lanes::{LaneSettings, Lanes},
    presence::Presence,
    sweeper::{Sweeper, SweeperSettings},
    wakes::Wakes,
};
use forebay_shared::{ids::ProcessId, queue::Queue, store::Store};

/// What a process needs to take part.
#[derive(Clone, Debug)]
pub struct MemberSettings {
    /// After how long without a sign a process counts as gone, in milliseconds.
    pub presence_ms: u64,
    /// The most sessions kept; `None` for no cap.
    pub sessions_max: Option<u64>,
    /// What the commits of this process carry.
    pub lanes: LaneSettings,
}

/// A process of the fleet.
pub struct Member {
    /// Its identity, for as long as it lives.
    pub id: ProcessId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Applies events to lanes.
    pub lanes: Lanes,
    /// Publishes wakes.
    pub wakes: Wakes,
    /// The counts.
    pub gauge: Arc<Gauge>,
    /// Who is at work.
    pub presence: Presence,
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
}

/// Says that a loop panicked.
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

impl Member {
    /// Joins the fleet: starts the loops. Must be called within a tokio runtime.
    #[must_use]
    pub fn join(
        id: ProcessId,
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        settings: &MemberSettings,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let gauge = Arc::new(Gauge::default());
        let (wakes, wakes_loop) =
            Wakes::new(Arc::clone(&queue), Arc::clone(&store), Arc::clone(&gauge));
        let (presence, presence_loop) =
            Presence::new(Arc::clone(&store), id.clone(), settings.presence_ms);
        let lanes = Lanes::new(Arc::clone(&store), wakes.clone(), settings.lanes);
        let sweeper = Sweeper {
            id: id.clone(),
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            lanes: lanes.clone(),
            wakes: wakes.clone(),
            gauge: Arc::clone(&gauge),
            presence: presence.clone(),
            settings: SweeperSettings {
                sessions_max: settings.sessions_max,
            },
        };

        let failed = CancellationToken::new();
        let spawn = |run: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let (alarm, stop) = (Alarm(failed.clone()), stop.clone());
            tasks.spawn(async move {
                let _alarm = alarm;
                stop.run_until_cancelled(run).await;
            });
        };
        spawn(Box::pin(wakes_loop.run()));
        spawn(Box::pin(presence_loop.run()));
        spawn(Box::pin(sweeper.run()));
        let (sampled, sampled_store) = (Arc::clone(&gauge), Arc::clone(&store));
        spawn(Box::pin(async move { sampled.run(&*sampled_store).await }));
        tasks.close();
        Self {
            id,
            store,
            queue,
            lanes,
            wakes,
            gauge,
            presence,
            tasks,
            stop,
            failed,
        }
    }

    /// Waits until one of the loops has panicked, which none should. Without its loops a process would
    /// look well and let its jobs lie.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Leaves the fleet: ends the loops and takes the announcement back, so that others need not find
    /// out. What is left to do is done by others, or at the next start.
    pub async fn leave(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
        for result in [
            self.store.step_down(&self.id).await,
            self.store.withdraw(&self.id).await,
        ] {
            if let Err(error) = result {
                tracing::debug!(%error, "the store was not told of the departure");
            }
        }
    }
}
