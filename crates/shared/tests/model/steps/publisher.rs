//! Publishers of wakes. They park the timer once the broker has confirmed the wake.

use super::Model;
use crate::{
    mutation::Mutation,
    state::{PublisherPhase, State, Timer, WakePublisher},
};

/// The process that a publisher of wakes belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PublisherOwner {
    Gateway(usize),
    CancelAndRepairGateway,
    Sweeper(usize),
    Worker(usize),
}

impl PublisherOwner {
    fn publisher(self, state: &mut State) -> &mut WakePublisher {
        match self {
            Self::Gateway(index) => &mut state.gateways[index],
            Self::CancelAndRepairGateway => &mut state.cancel_and_repair_gateway,
            Self::Sweeper(index) => &mut state.sweepers[index],
            Self::Worker(index) => &mut state.slots[index].publisher,
        }
    }
}

impl Model {
    /// A publisher publishes the wake and, once the broker has confirmed it, parks the timer. The publisher may die before
    /// each of these steps. `worker.rs` models the death of a worker, which ends all its slots.
    pub(super) fn publisher_steps(&mut self, state: &State) {
        let gateways = (0..usize::from(self.configuration.jobs)).map(PublisherOwner::Gateway);
        let sweepers = (0..self.configuration.sweepers).map(PublisherOwner::Sweeper);
        let workers = (0..state.slots.len()).map(PublisherOwner::Worker);
        let owners = gateways
            .chain([PublisherOwner::CancelAndRepairGateway])
            .chain(sweepers)
            .chain(workers);
        for owner in owners {
            let mut next = *state;
            let publisher = *owner.publisher(&mut next);
            match publisher.phase {
                PublisherPhase::Idle | PublisherPhase::DueTimerRead => continue,
                PublisherPhase::WakeRequested => {
                    owner.publisher(&mut next).phase = PublisherPhase::WakeConfirmed;
                    next.add_wake(publisher.job);
                    self.add_dependable(next, "a wake is published", publisher.job);
                }
                PublisherPhase::WakeConfirmed => {
                    *owner.publisher(&mut next) = WakePublisher::default();
                    self.park_timer(&mut next, &publisher);
                    self.add_dependable(next, "a timer is parked", publisher.job);
                }
            }
            if !matches!(owner, PublisherOwner::Worker(_)) {
                let mut next = *state;
                *owner.publisher(&mut next) = WakePublisher::default();
                self.add_optional(next, "a publisher dies", publisher.job);
            }
        }
    }

    /// Parks the timer of a job whose wake is confirmed, if the timer has not changed since the wake was requested.
    fn park_timer(&self, state: &mut State, publisher: &WakePublisher) {
        let has_timer = state.job(publisher.job).timer != Timer::None;
        let parks_any = self.configuration.has(Mutation::ParkMovesAChangedTimer) && has_timer;
        if !publisher.timer_is_unchanged && !parks_any {
            return;
        }
        let is_past_deadline = state
            .lane
            .find(publisher.job)
            .is_some_and(|entry| entry.is_past_deadline);
        let timer = if self
            .configuration
            .has(Mutation::TimersFireOnlyAtTheDeadline)
        {
            Timer::AtDeadline
        } else if is_past_deadline {
            Timer::MayBeDue
        } else {
            Timer::Parked
        };
        state.set_timer(publisher.job, timer);
    }
}
