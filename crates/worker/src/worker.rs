//! A worker from its start to its drained end.

use std::sync::Arc;

use forebay_runtime::member::Member;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    attempt::Desk, calls, drain::drain, intake::Intake, providers::Providers,
    settings::WorkerSettings,
};

/// Runs jobs until `stop` is cancelled; returns once nothing runs any more, at most
/// [`WorkerSettings::drain_ms`] and [`RELEASING_MS_MAX`](crate::RELEASING_MS_MAX) later. The process's other loops ([`Member`]) must run
/// on until then. Claims nothing before this process has announced itself, since nobody may take it for
/// gone.
pub async fn run(
    member: Arc<Member>,
    providers: Arc<dyn Providers>,
    settings: WorkerSettings,
    stop: CancellationToken,
) {
    let mut presence = member.presence.clone();
    if stop
        .run_until_cancelled(presence.announced())
        .await
        .is_none()
    {
        return;
    }
    let desk = Arc::new(Desk {
        member,
        providers,
        settings,
        table: Arc::default(),
        attempts: TaskTracker::new(),
        stop,
        give_up: CancellationToken::new(),
        kill: CancellationToken::new(),
    });
    let notices = calls::run(Arc::clone(&desk.member), Arc::clone(&desk.table));
    let _notices = AbortOnDropHandle::new(tokio::spawn(notices));
    Intake::new(Arc::clone(&desk)).run().await;
    drain(&desk).await;
}
