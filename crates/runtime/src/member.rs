//! A process of the fleet: its id, its store and queue, and the loops that every gateway and worker runs.

use std::{pin::Pin, sync::Arc};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::{Accounts, AccountsLoop},
    gauge::Gauge,
    lanes::{LaneSettings, Lanes},
    memory::MemoryShares,
    presence::Presence,
    sweeper::{ResumeLoop, Sweeper, SweeperSettings},
    wakes::Wakes,
    worker_health::WorkerHealth,
};
use forebay_metrics::Metrics;
use forebay_shared::{ids::ProcessId, queue::Queue, store::Store};

/// The settings of a member.
#[derive(Clone, Debug)]
pub struct MemberSettings {
    /// The age at which the presence of a process is too old, in milliseconds. The process then counts as gone.
    pub presence_ttl_ms: u64,
    /// The most sessions that are kept. `None` means no limit.
    pub sessions_max: Option<u64>,
    /// The shares of the memory of this process.
    pub memory: MemoryShares,
    /// The settings that apply to every commit of this process.
    pub lanes: LaneSettings,
    /// The metrics of this process.
    pub metrics: Metrics,
}

/// A process of the fleet.
pub struct Member {
    /// The id of the process.
    pub id: ProcessId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Changes lanes.
    pub lanes: Lanes,
    /// Requests wakes.
    pub wakes: Wakes,
    /// The counts and rates.
    pub gauge: Arc<Gauge>,
    /// The presence of this process and of the others.
    pub presence: Presence,
    /// The accounts of the providers.
    pub accounts: Accounts,
    /// The shares of the memory of this process.
    pub memory: MemoryShares,
    /// The metrics of this process.
    pub metrics: Metrics,
    /// The health of the worker of this process.
    pub worker_health: WorkerHealth,
    tasks: TaskTracker,
    /// Ends the loops when it is cancelled.
    end_loops: CancellationToken,
    /// Cancelled once the process must stop. The loops still run then.
    pub(crate) stop_requested: CancellationToken,
    /// Cancelled when a loop has panicked.
    failed: CancellationToken,
}

/// A guard that cancels its token if the task that holds the guard panics.
struct CancelOnPanic(CancellationToken);

impl Drop for CancelOnPanic {
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
        let (tasks, end_loops) = (TaskTracker::new(), CancellationToken::new());
        let gauge = Arc::new(Gauge::default());
        let (wakes, publisher) =
            Wakes::new(Arc::clone(&queue), Arc::clone(&store), Arc::clone(&gauge));
        let (presence, presence_loop) =
            Presence::new(Arc::clone(&store), id.clone(), settings.presence_ttl_ms);
        let reads = settings.memory.reads.clone();
        let metrics = settings.metrics.clone();
        let lanes = Lanes::new(
            Arc::clone(&store),
            wakes.clone(),
            settings.lanes,
            reads,
            metrics.lanes.clone(),
        );
        let accounts = Accounts::new(Arc::clone(&store), id.clone());
        let (is_sweeper_sender, is_sweeper) = watch::channel(false);
        let resume_loop = ResumeLoop {
            id: id.clone(),
            store: Arc::clone(&store),
            lanes: lanes.clone(),
            accounts: accounts.clone(),
            gauge: Arc::clone(&gauge),
            presence: presence.clone(),
            is_sweeper,
        };
        let sweeper = Sweeper {
            id: id.clone(),
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            lanes: lanes.clone(),
            wakes: wakes.clone(),
            gauge: Arc::clone(&gauge),
            presence: presence.clone(),
            is_sweeper_sender,
            settings: SweeperSettings {
                sessions_max: settings.sessions_max,
            },
        };

        let failed = CancellationToken::new();
        let spawn = |run: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let (guard, end_loops) = (CancelOnPanic(failed.clone()), end_loops.clone());
            tasks.spawn(async move {
                let _guard = guard;
                end_loops.run_until_cancelled(run).await;
            });
        };
        spawn(Box::pin(publisher.run()));
        spawn(Box::pin(presence_loop.run()));
        spawn(Box::pin(sweeper.run()));
        spawn(Box::pin(resume_loop.run()));
        spawn(Box::pin(AccountsLoop::new(accounts.clone()).run()));
        let (gauge_of_loop, store_of_loop) = (Arc::clone(&gauge), Arc::clone(&store));
        spawn(Box::pin(
            async move { gauge_of_loop.run(&*store_of_loop).await },
        ));
        let reported_lanes = lanes.clone();
        spawn(Box::pin(async move {
            reported_lanes.report_unlogged_failures().await;
        }));
        tasks.close();
        Self {
            id,
            store,
            queue,
            lanes,
            wakes,
            gauge,
            presence,
            accounts,
            memory: settings.memory.clone(),
            metrics,
            worker_health: WorkerHealth::default(),
            tasks,
            end_loops,
            stop_requested: CancellationToken::new(),
            failed,
        }
    }

    /// Waits until one of the loops panics, which is a bug. The caller must then end the process. Without its loops, the
    /// process would look healthy and leave its jobs undone.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Records that the process must stop. Its loops run until [`leave`](Self::leave).
    pub fn begin_stop(&self) {
        self.stop_requested.cancel();
    }

    /// Whether the process must stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop_requested.is_cancelled()
    }

    /// Leaves the fleet: ends the loops, the term as sweeper and the presence. So the other processes need not wait until
    /// the presence TTL has passed.
    pub async fn leave(&self) {
        self.end_loops.cancel();
        self.tasks.wait().await;
        self.wakes.park_rest().await;
        if let Err(error) = self.store.end_term(&self.id).await {
            tracing::debug!(%error, "the term could not be ended; it ends by itself in 2 s");
        }
        if let Err(error) = self.store.end_presence(&self.id).await {
            tracing::debug!(
                %error,
                "this process could not end its presence in the store; it counts as gone when its presence is too old"
            );
        }
    }
}
