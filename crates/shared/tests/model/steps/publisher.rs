//! Publishers of wakes, and `woken` after a confirm.

use super::World;
use crate::{
    mutation::Mutation,
    state::{PublishStep, State, Timer, WakePublisher},
};

/// The process that owns a publisher.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PublisherOf {
    Gateway(usize),
    Operator,
    Sweeper(usize),
    Worker(usize),
}

impl PublisherOf {
    fn publisher(self, state: &mut State) -> &mut WakePublisher {
        match self {
            Self::Gateway(n) => &mut state.gateways[n],
            Self::Operator => &mut state.operator,
            Self::Sweeper(n) => &mut state.sweepers[n],
            Self::Worker(n) => &mut state.slots[n].publisher,
        }
    }
}

impl World {
    /// A publisher sends the message and, once it is confirmed, does `woken`. It may die before either. A worker dies as
    /// a whole, in `worker.rs`.
    pub(super) fn publisher_steps(&mut self, state: &State) {
        let gateways = (0..usize::from(self.configuration.jobs)).map(PublisherOf::Gateway);
        let sweepers = (0..self.configuration.sweepers).map(PublisherOf::Sweeper);
        let workers = (0..state.slots.len()).map(PublisherOf::Worker);
        let all = gateways
            .chain([PublisherOf::Operator])
            .chain(sweepers)
            .chain(workers);
        for who in all {
            let mut next = *state;
            let publisher = *who.publisher(&mut next);
            match publisher.step {
                PublishStep::Idle | PublishStep::Due => continue,
                PublishStep::Publish => {
                    who.publisher(&mut next).step = PublishStep::Confirmed;
                    next.add_wake(publisher.job);
                    self.add(next, true, "a wake is published", publisher.job);
                }
                PublishStep::Confirmed => {
                    *who.publisher(&mut next) = WakePublisher::default();
                    self.woken(&mut next, &publisher);
                    self.add(next, true, "woken", publisher.job);
                }
            }
            if !matches!(who, PublisherOf::Worker(_)) {
                let mut next = *state;
                *who.publisher(&mut next) = WakePublisher::default();
                self.add(next, false, "a publisher dies", publisher.job);
            }
        }
    }

    /// `woken`: a confirmed wake parks the timer, if the timer is still the one that asked for it.
    fn woken(&self, state: &mut State, publisher: &WakePublisher) {
        let timer = state.job(publisher.job).timer;
        let any = self.configuration.has(Mutation::WokenMovesAnyTimer) && timer != Timer::None;
        if !publisher.is_current && !any {
            return;
        }
        let overdue = state
            .lane
            .find(publisher.job)
            .is_some_and(|entry| entry.overdue);
        let timer = match () {
            () if self.configuration.has(Mutation::NoTimers) => Timer::Never,
            () if overdue => Timer::Set,
            () => Timer::Parked,
        };
        state.set_timer(publisher.job, timer);
    }
}
