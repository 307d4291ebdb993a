//! One attempt at a job, from its wake to its ack: claim, call, commit, ack.
//!
//! The next head's wake is published in the background by the commit. Whatever a crash cuts off on this
//! way, a timer finishes.
//!
//! A call takes seconds and there may be thousands at a time, so what is kept while one runs is kept small: once,
//! and nothing that only the beginning or the end needs.

mod ask;
mod call;
mod claim;
mod settle;
mod watch;

use std::sync::Arc;

use forebay_runtime::member::Member;
use forebay_shared::{
    ids::{JobId, LaneKey},
    queue::Delivery,
    time::TimeMs,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    intake::Slot, providers::Providers, settings::WorkerSettings, table::Note, table::Table,
};

/// What all attempts of a worker share.
pub(crate) struct Desk {
    pub(crate) member: Arc<Member>,
    pub(crate) providers: Arc<dyn Providers>,
    pub(crate) settings: WorkerSettings,
    pub(crate) table: Arc<Table>,
    pub(crate) attempts: TaskTracker,
    /// Nothing more is claimed.
    pub(crate) stop: CancellationToken,
    /// Calls that still run are given up and their jobs released.
    pub(crate) give_up: CancellationToken,
    /// Everything ends where it stands.
    pub(crate) kill: CancellationToken,
}

/// A job that was claimed.
struct Attempt {
    lane: LaneKey,
    job: JobId,
    fence: u64,
    /// When it must have settled.
    until: TimeMs,
    /// When nobody wants the job any more.
    expires_at: TimeMs,
    /// Counts from 1.
    n: u32,
    /// Failures of the provider before it.
    tries: u32,
    began: Instant,
}

/// Makes an attempt at the job of a wake. Not an `async fn`, which would hold each of its arguments twice.
pub(crate) fn run(
    desk: Arc<Desk>,
    delivery: Delivery,
    note: Note,
    slot: Slot,
) -> impl Future<Output = ()> + Send {
    let mut delivery = Some(delivery);
    async move {
        let _alarm = Alarm(note.job());
        // Boxed, so that an attempt holds no room for these while its call runs, which is nearly always.
        if let Some((attempt, work)) = Box::pin(claim::claim(&desk, &mut delivery)).await {
            let called = call::call(&desk, &attempt, work, &note).await;
            Box::pin(settle::settle(&desk, &attempt, called)).await;
        }
        if let Some(delivery) = delivery.take() {
            delivery.ack();
        }
        // In this order: whoever has the slot next finds the table in order.
        drop(note);
        drop(slot);
    }
}

/// Says that an attempt panicked. Its slot and its note are free, its message goes back, and its job's
/// timer has it done again.
struct Alarm(JobId);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(job_id = %self.0, "an attempt panicked");
        }
    }
}
