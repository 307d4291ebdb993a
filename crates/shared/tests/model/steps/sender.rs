//! Those who publish wakes, and what they do once a wake is confirmed.

use super::World;
use crate::{
    mutation::Mutation,
    state::{Sender, Sending, State, Timer},
};

/// Which sender a step is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Gateway(usize),
    Operator,
    Sweeper(usize),
    Worker(usize),
}

impl Who {
    fn sender(self, state: &mut State) -> &mut Sender {
        match self {
            Self::Gateway(n) => &mut state.gateways[n],
            Self::Operator => &mut state.operator,
            Self::Sweeper(n) => &mut state.sweepers[n],
            Self::Worker(n) => &mut state.slots[n].sender,
        }
    }
}

impl World {
    /// Those who publish: the message, then (confirmed) `woken`. Who publishes may die before either;
    /// a worker dies as a whole, elsewhere.
    pub(super) fn sender_steps(&mut self, state: &State) {
        let gateways = (0..usize::from(self.configuration.jobs)).map(Who::Gateway);
        let sweepers = (0..self.configuration.sweepers).map(Who::Sweeper);
        let workers = (0..state.slots.len()).map(Who::Worker);
        let all = gateways
            .chain([Who::Operator])
            .chain(sweepers)
            .chain(workers);
        for who in all {
            let mut next = *state;
            let sender = *who.sender(&mut next);
            match sender.sending {
                Sending::Idle | Sending::Due => continue,
                Sending::Publish => {
                    who.sender(&mut next).sending = Sending::Confirmed;
                    next.give_wake(sender.job);
                    self.add(next, true, "a wake is published", sender.job);
                }
                Sending::Confirmed => {
                    *who.sender(&mut next) = Sender::default();
                    self.woken(&mut next, &sender);
                    self.add(next, true, "woken", sender.job);
                }
            }
            if !matches!(who, Who::Worker(_)) {
                let mut next = *state;
                *who.sender(&mut next) = Sender::default();
                self.add(next, false, "a publisher dies", sender.job);
            }
        }
    }

    /// `woken`: a confirmed wake moves its timer far off, if it still is the one that asked for it.
    fn woken(&self, state: &mut State, sender: &Sender) {
        let timer = state.job(sender.job).timer;
        let any = self.configuration.has(Mutation::WokenMovesAnyTimer) && timer != Timer::None;
        if !sender.fresh && !any {
            return;
        }
        let overdue = state
            .lane
            .find(sender.job)
            .is_some_and(|entry| entry.overdue);
        let timer = match () {
            () if self.configuration.has(Mutation::NoTimers) => Timer::Never,
            () if overdue => Timer::Later,
            () => Timer::Parked,
        };
        state.set_timer(sender.job, timer);
    }
}
