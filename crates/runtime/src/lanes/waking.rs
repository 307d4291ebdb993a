//! Wakes of heads: asked for one by one as their lanes change, or for many ready heads in one trip.

use super::Inner;
use forebay_shared::{
    class::Class,
    ids::{JobId, LaneKey},
    job::JobMeta,
    lane::{Lane, wake_timer},
    store::{Head, StoreError, TimerMove},
    time::TimeMs,
    wake::Wake,
};

/// A head that can run.
struct Ready<'a> {
    lane: &'a LaneKey,
    job: JobId,
    class: Class,
    admitted_at: TimeMs,
    deadline: TimeMs,
}

impl Inner {
    /// Wakes ready heads of a class, as a tick of each would that finds nothing changed: the timer moves before
    /// the wake is published, and only if it still is the one that was read. A lane that has changed since was
    /// seen to by whoever changed it.
    pub(super) async fn wake_all(&self, class: Class, heads: &[Head]) -> Result<(), StoreError> {
        let now = self.store.now();
        let ticks: Vec<(TimerMove, bool)> = heads
            .iter()
            .map(|head| {
                let tick = TimerMove {
                    job: head.job,
                    from: head.timer,
                    to: wake_timer(head.deadline, now),
                };
                self.parked_or_woken(class, head.admitted_at, head.deadline, tick)
            })
            .collect();
        let moves: Vec<TimerMove> = ticks.iter().map(|(tick, _)| *tick).collect();
        let moved = self.store.move_timers(&moves).await?;
        for ((head, (tick, wakes)), moved) in heads.iter().zip(ticks).zip(moved) {
            if wakes && moved {
                let ready = Ready {
                    lane: &head.lane,
                    job: head.job,
                    class,
                    admitted_at: head.admitted_at,
                    deadline: head.deadline,
                };
                self.ask(&ready, tick.to, None);
            }
        }
        Ok(())
    }

    /// The move of a due head's timer, without its wake if the queue holds one for it already.
    pub(super) fn unless_queued(
        &self,
        lane: &Lane,
        (tick, wakes): (TimerMove, bool),
    ) -> (TimerMove, bool) {
        match lane.head().filter(|head| wakes && head.job == tick.job) {
            None => (tick, wakes),
            Some(head) => self.parked_or_woken(head.class, head.admitted_at, head.deadline, tick),
        }
    }

    fn parked_or_woken(
        &self,
        class: Class,
        admitted_at: TimeMs,
        deadline: TimeMs,
        tick: TimerMove,
    ) -> (TimerMove, bool) {
        let now = self.store.now();
        match self.wakes.parked_again(class, admitted_at, now) {
            Some(to) => {
                let to = to.min(deadline);
                (TimerMove { to, ..tick }, false)
            }
            None => (tick, true),
        }
    }

    /// Asks for a wake of the head `job`, whose timer is `timer`.
    pub(super) fn publish(
        &self,
        key: &LaneKey,
        lane: &Lane,
        job: JobId,
        timer: TimeMs,
        meta: Option<&JobMeta>,
    ) {
        if let Some((0, head)) = lane.find(job) {
            let ready = Ready {
                lane: key,
                job,
                class: head.class,
                admitted_at: head.admitted_at,
                deadline: head.deadline,
            };
            self.ask(&ready, timer, meta);
        }
    }

    fn ask(&self, head: &Ready<'_>, timer: TimeMs, meta: Option<&JobMeta>) {
        let wake = Wake {
            v: Wake::VERSION,
            job: head.job,
            tenant: head.lane.tenant().clone(),
            session: head.lane.session().cloned(),
            class: head.class,
            model: meta.map(|meta| meta.model.clone()),
            admitted_at: head.admitted_at,
            sent_at: self.store.now(),
            traceparent: meta.and_then(|meta| meta.traceparent.clone()),
        };
        self.wakes.send(wake, timer, head.deadline);
    }
}
