//! Publishers of wakes. They park the timer once the broker has confirmed the wake.

use super::Model;
use crate::{
    mutation::Mutation,
    state::{PublishStep, State, Timer, WakePublisher},
};

/// The process that a publisher belongs to, by its position in the state.
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
            Self::Gateway(index) => &mut state.gateways[index],
            Self::Operator => &mut state.operator,
            Self::Sweeper(index) => &mut state.sweepers[index],
            Self::Worker(index) => &mut state.slots[index].publisher,
        }
    }
}

impl Model {
    /// A publisher publishes the wake and, once the broker has confirmed it, parks the timer. The publisher may die before
    /// each of these steps. A worker dies with all its slots, in `worker.rs`.
    pub(super) fn publisher_steps(&mut self, state: &State) {
        let gateways = (0..usize::from(self.configuration.jobs)).map(PublisherOf::Gateway);
        let sweepers = (0..self.configuration.sweepers).map(PublisherOf::Sweeper);
        let workers = (0..state.slots.len()).map(PublisherOf::Worker);
        let processes = gateways
            .chain([PublisherOf::Operator])
            .chain(sweepers)
            .chain(workers);
        for process in processes {
            let mut next = *state;
            let publisher = *process.publisher(&mut next);
            match publisher.step {
                PublishStep::Idle | PublishStep::Due => continue,
                PublishStep::Publish => {
                    process.publisher(&mut next).step = PublishStep::Confirmed;
                    next.add_wake(publisher.job);
                    self.add(next, true, "a wake is published", publisher.job);
                }
                PublishStep::Confirmed => {
                    *process.publisher(&mut next) = WakePublisher::default();
                    self.park_timer(&mut next, &publisher);
                    self.add(next, true, "a timer is parked", publisher.job);
                }
            }
            if !matches!(process, PublisherOf::Worker(_)) {
                let mut next = *state;
                *process.publisher(&mut next) = WakePublisher::default();
                self.add(next, false, "a publisher dies", publisher.job);
            }
        }
    }

    /// Parks the timer of a job whose wake is confirmed, if the timer has not changed since the wake was requested.
    fn park_timer(&self, state: &mut State, publisher: &WakePublisher) {
        let has_timer = state.job(publisher.job).timer != Timer::None;
        let parks_any = self.configuration.has(Mutation::ParkMovesAChangedTimer) && has_timer;
        if !publisher.is_current && !parks_any {
            return;
        }
        let overdue = state
            .lane
            .find(publisher.job)
            .is_some_and(|entry| entry.overdue);
        let only_deadlines = Mutation::TimersFireOnlyAtTheDeadline;
        let timer = if self.configuration.has(only_deadlines) {
            Timer::AtDeadline
        } else if overdue {
            Timer::Set
        } else {
            Timer::Parked
        };
        state.set_timer(publisher.job, timer);
    }
}
