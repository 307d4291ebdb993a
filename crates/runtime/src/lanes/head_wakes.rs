//! Wakes heads: one by one as their lanes change, or many ready heads with one request to the store.
//!
//! The timer of a head moves before its wake is published, except in a refill of the queue. If that wake is lost, the timer leads to
//! another wake.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    draft::{HeadWake, TickMove},
    error::LaneError,
    retry::with_retry,
};
use crate::wakes::{WakeRequest, Wakes};
use forebay_shared::{
    class::Class,
    ids::{JobId, LaneKey},
    job::JobMeta,
    lane::{Lane, wake_timer},
    store::{Commit, Head, Store, StoreError, TimerMove},
    time::TimeMs,
    wake::{LaneCopy, Wake, WakePermit},
};
use forebay_telemetry::{TraceContext, task_context};

/// The trace of the change that wakes a head: of the submit that admits the job (`meta`), or of the attempt that ends the job before it
/// (`of_change`, or else the trace of this task). The sweeper's wakes have none, because its tasks have no trace.
fn wake_trace(meta: Option<&JobMeta>, of_change: Option<TraceContext>) -> Option<String> {
    match meta {
        Some(meta) => meta.traceparent.clone(),
        None => of_change
            .or_else(task_context::current_trace)
            .map(|trace| trace.to_string()),
    }
}

/// A head that a worker can run now.
struct ReadyHead<'a> {
    lane: &'a LaneKey,
    job: JobId,
    class: Class,
    /// The requested model, if it is known here.
    model: Option<&'a str>,
    admitted_at: TimeMs,
    deadline: TimeMs,
}

impl<'a> ReadyHead<'a> {
    /// The head of a lane, if its job is `job`.
    fn of(key: &'a LaneKey, lane: &'a Lane, job: JobId) -> Option<Self> {
        let head = lane.head().filter(|head| head.job == job)?;
        Some(Self {
            lane: key,
            job,
            class: head.class,
            model: head.model.as_deref(),
            admitted_at: head.admitted_at,
            deadline: head.deadline,
        })
    }

    /// A ready head of a class that the store has listed.
    const fn listed(class: Class, head: &'a Head) -> Self {
        Self {
            lane: &head.lane,
            job: head.job,
            class,
            model: None,
            admitted_at: head.admitted_at,
            deadline: head.deadline,
        }
    }
}

/// Requests the wakes of heads.
pub(super) struct HeadWakes {
    pub(super) store: Arc<dyn Store>,
    pub(super) wakes: Wakes,
}

impl HeadWakes {
    /// Wakes the head that a commit has made ready.
    pub(super) fn wake_new_head(&self, commit: &Commit, wake: HeadWake) {
        let Some(head) = ReadyHead::of(&commit.lane, &commit.next, wake.job) else {
            return;
        };
        let timer = commit.timers.iter().find(|(job, _)| *job == head.job);
        if let Some((_, Some(timer))) = timer {
            let admitted = commit.admitted.iter().find(|new| new.meta.id == head.job);
            let meta = admitted.map(|new| &new.meta);
            let trace = wake_trace(meta, wake.trace);
            let mut request = self.wake_request(&head, *timer, trace, wake.permit);
            if self.wakes.want_lane_copies() {
                request.wake.lane_copy = LaneCopy::of(&commit.next, commit.version);
            }
            self.wakes.request(request);
        }
    }

    /// Moves the timers of ticks that changed nothing else, and wakes the heads that are due.
    ///
    /// If the store has moved a timer and the response was lost, the repeated request reports the timer as not moved.
    /// Then the head is not woken now, and its timer leads to another tick.
    pub(super) async fn move_timers(
        &self,
        key: &LaneKey,
        lane: &Lane,
        moves: Vec<TickMove>,
        deadline: Instant,
    ) -> Result<(), LaneError> {
        if moves.is_empty() {
            return Ok(());
        }
        let moves: Vec<TickMove> = moves
            .into_iter()
            .map(|tick| match ReadyHead::of(key, lane, tick.timer.job) {
                Some(head) if tick.wakes_head => self.plan_tick_move(&head, tick.timer),
                _ => tick,
            })
            .collect();
        let timers: Vec<TimerMove> = moves.iter().map(|tick| tick.timer).collect();
        let moved = with_retry(deadline, || self.store.move_timers(&timers)).await?;
        for (tick, is_moved) in moves.into_iter().zip(moved) {
            if tick.wakes_head
                && is_moved
                && let Some(head) = ReadyHead::of(key, lane, tick.timer.job)
            {
                self.request_wake(&head, tick.timer.to, wake_trace(None, None), None);
            }
        }
        Ok(())
    }

    /// Moves the timers of ready heads of a class and wakes those heads, like a tick that changes nothing else. If a
    /// timer has moved meanwhile, its head is left out, because the job was woken, claimed or ended.
    pub(super) async fn wake_ready(&self, class: Class, heads: &[Head]) -> Result<(), StoreError> {
        let now = self.store.now();
        let heads = heads.iter().map(|head| {
            let timer = TimerMove {
                job: head.job,
                from: head.timer,
                to: wake_timer(head.deadline, now),
            };
            let head = ReadyHead::listed(class, head);
            let tick = self.plan_tick_move(&head, timer);
            (head, tick)
        });
        let heads: Vec<(ReadyHead<'_>, TickMove)> = heads.collect();
        let timers: Vec<TimerMove> = heads.iter().map(|(_, tick)| tick.timer).collect();
        let moved = self.store.move_timers(&timers).await?;
        for ((head, tick), is_moved) in heads.iter().zip(moved) {
            if tick.wakes_head && is_moved {
                self.request_wake(head, tick.timer.to, wake_trace(None, None), None);
            }
        }
        Ok(())
    }

    /// Refills the queue: requests a wake for each of these ready heads. Their timers stay until the wakes are confirmed.
    pub(super) fn refill(&self, class: Class, heads: &[Head]) {
        for head in heads {
            let listed = ReadyHead::listed(class, head);
            self.wakes.request(WakeRequest {
                is_refill: true,
                ..self.wake_request(&listed, head.timer, wake_trace(None, None), None)
            });
        }
    }

    /// Decides whether a ready head is woken ([`Wakes::next_timer_without_wake`]), and how far its timer moves.
    fn plan_tick_move(&self, head: &ReadyHead<'_>, timer: TimerMove) -> TickMove {
        let now = self.store.now();
        match self
            .wakes
            .next_timer_without_wake(head.class, head.admitted_at, now)
        {
            Some(to) => TickMove {
                timer: TimerMove {
                    to: to.min(head.deadline),
                    ..timer
                },
                wakes_head: false,
            },
            None => TickMove {
                timer,
                wakes_head: true,
            },
        }
    }

    fn request_wake(
        &self,
        head: &ReadyHead<'_>,
        timer: TimeMs,
        traceparent: Option<String>,
        permit: Option<WakePermit>,
    ) {
        let request = self.wake_request(head, timer, traceparent, permit);
        self.wakes.request(request);
    }

    fn wake_request(
        &self,
        head: &ReadyHead<'_>,
        timer: TimeMs,
        traceparent: Option<String>,
        permit: Option<WakePermit>,
    ) -> WakeRequest {
        let wake = Wake {
            v: Wake::VERSION,
            job: head.job,
            tenant: head.lane.tenant().clone(),
            session: head.lane.session().cloned(),
            class: head.class,
            model: head.model.map(str::to_owned),
            permit,
            admitted_at: head.admitted_at,
            sent_at: self.store.now(),
            lane_copy: None,
            traceparent,
        };
        WakeRequest {
            wake,
            timer,
            deadline: head.deadline,
            is_refill: false,
        }
    }
}
