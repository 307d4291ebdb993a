//! Which class gets the next free slot: a pure decision.
//!
//! Interactive goes first. Batch, while it has work, gets no less than a tenth: of the slots where there
//! are ten or more, of the starts where there are fewer. What one class does not use the other may; but beyond its
//! tenth batch lets a moment pass in which the queue may hand out the next of interactive, or else it would get
//! most of the slots that fall free at once.

use forebay_shared::class::Class;

/// From so many slots on, batch has slots of its own; below, it has turns.
const SHARED_BELOW: usize = 10;
/// Below that, after so many starts of interactive a waiting batch job has its turn.
const STARTS_BEFORE_BATCH: u32 = 9;

/// The classes of which a job waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) interactive: bool,
    pub(crate) batch: bool,
    /// None of interactive is there, but the queue may be about to hand one out.
    pub(crate) interactive_follows: bool,
}

/// The slots of a worker and what runs in them.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    total: usize,
    interactive: usize,
    batch: usize,
    /// Starts of interactive since the last one of batch.
    starts: u32,
}

impl Slots {
    /// So many free slots, at least one.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total: total.max(1),
            interactive: 0,
            batch: 0,
            starts: 0,
        }
    }

    /// Which of the waiting classes may start a job now.
    pub(crate) fn next(&self, waiting: Waiting) -> Option<Class> {
        if self.interactive + self.batch >= self.total {
            return None;
        }
        match waiting {
            Waiting {
                interactive: true,
                batch: true,
                ..
            } if self.is_turn_of_batch() => Some(Class::Batch),
            Waiting {
                interactive: true, ..
            } => Some(Class::Interactive),
            Waiting {
                batch: true,
                interactive_follows: true,
                ..
            } if !self.is_turn_of_batch() => None,
            Waiting { batch: true, .. } => Some(Class::Batch),
            Waiting { .. } => None,
        }
    }

    fn is_turn_of_batch(&self) -> bool {
        if self.total >= SHARED_BELOW {
            self.batch < self.total.div_ceil(SHARED_BELOW)
        } else {
            self.starts >= STARTS_BEFORE_BATCH
        }
    }

    /// A job of the class starts.
    pub(crate) fn take(&mut self, class: Class) {
        match class {
            Class::Interactive => {
                self.interactive += 1;
                self.starts = self.starts.saturating_add(1);
            }
            Class::Batch => {
                self.batch += 1;
                self.starts = 0;
            }
        }
    }

    /// A job of the class has ended.
    pub(crate) fn free(&mut self, class: Class) {
        let running = match class {
            Class::Interactive => &mut self.interactive,
            Class::Batch => &mut self.batch,
        };
        *running = running.saturating_sub(1);
    }

    /// How many wakes of the class the queue may hand out unsettled. No more than there are slots, so
    /// that a worker whose slots are all in use by one class keeps none of its wakes from the others;
    /// but where the classes take turns, one more of interactive, since without one in hand batch
    /// would get each slot that falls free.
    pub(crate) fn unacked_max(&self, class: Class) -> usize {
        match class {
            Class::Interactive if self.total < SHARED_BELOW => self.total + 1,
            Class::Interactive | Class::Batch => self.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::class::Class;
    use proptest::prelude::*;

    use super::{Slots, Waiting};

    const BOTH: Waiting = Waiting {
        interactive: true,
        batch: true,
        interactive_follows: false,
    };

    /// What happens to the slots from outside.
    #[derive(Clone, Debug)]
    enum Step {
        /// A slot falls free, if one of the class is in use.
        Ends(Class),
        /// A job starts, if one may, while these wait.
        Starts(Waiting),
    }

    fn step() -> impl Strategy<Value = Step> {
        let class = prop_oneof![Just(Class::Interactive), Just(Class::Batch)];
        let waiting = any::<(bool, bool)>().prop_map(|(interactive, batch)| Waiting {
            interactive,
            batch,
            interactive_follows: false,
        });
        prop_oneof![class.prop_map(Step::Ends), waiting.prop_map(Step::Starts)]
    }

    proptest! {
        #[test]
        fn no_slot_is_used_twice_and_none_stands_empty_while_work_waits(
            total in 1_usize..40,
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut slots = Slots::new(total);
            for step in steps {
                match step {
                    Step::Ends(class) => slots.free(class),
                    Step::Starts(waiting) => {
                        let is_free = slots.interactive + slots.batch < total;
                        let next = slots.next(waiting);
                        prop_assert_eq!(next.is_some(), is_free && (waiting.interactive || waiting.batch));
                        if let Some(class) = next {
                            prop_assert!(class != Class::Interactive || waiting.interactive);
                            prop_assert!(class != Class::Batch || waiting.batch);
                            slots.take(class);
                        }
                    }
                }
                prop_assert!(slots.interactive + slots.batch <= total);
            }
        }

        #[test]
        fn with_ten_or_more_both_saturated_batch_has_a_tenth_and_interactive_the_rest(
            total in 10_usize..300,
            ends in prop::collection::vec(any::<bool>(), 0..300),
        ) {
            let mut slots = Slots::new(total);
            while let Some(class) = slots.next(BOTH) {
                slots.take(class);
            }
            let share = total.div_ceil(10);
            prop_assert_eq!((slots.interactive, slots.batch), (total - share, share));
            for is_batch in ends {
                slots.free(if is_batch { Class::Batch } else { Class::Interactive });
                let next = slots.next(BOTH).expect("a slot is free");
                slots.take(next);
                prop_assert_eq!((slots.interactive, slots.batch), (total - share, share));
            }
        }

        #[test]
        fn with_fewer_every_tenth_start_is_batch(total in 1_usize..10, ends in prop::collection::vec(any::<bool>(), 40)) {
            let mut slots = Slots::new(total);
            let mut started = Vec::new();
            for is_batch in ends {
                while let Some(class) = slots.next(BOTH) {
                    slots.take(class);
                    started.push(class);
                }
                let first = if is_batch && slots.batch > 0 || slots.interactive == 0 { Class::Batch } else { Class::Interactive };
                slots.free(first);
            }
            for tenth in started.chunks_exact(10) {
                prop_assert_eq!(tenth.iter().filter(|class| **class == Class::Batch).count(), 1);
                prop_assert_eq!(tenth[9], Class::Batch);
            }
        }
    }

    #[test]
    fn beyond_its_share_batch_waits_for_what_may_follow_of_interactive() {
        let follows = Waiting {
            interactive: false,
            batch: true,
            interactive_follows: true,
        };
        let alone = Waiting {
            interactive_follows: false,
            ..follows
        };
        for total in [1, 5, 10, 30] {
            let mut slots = Slots::new(total);
            let share = if total < 10 { 0 } else { total.div_ceil(10) };
            for _ in 0..share {
                assert_eq!(slots.next(follows), Some(Class::Batch));
                slots.take(Class::Batch);
            }
            assert_eq!(slots.next(follows), None);
            assert_eq!(slots.next(alone), Some(Class::Batch));
        }
    }

    #[test]
    fn batch_gets_the_next_free_slot_when_it_comes_late() {
        let mut slots = Slots::new(20);
        let alone = Waiting {
            interactive: true,
            batch: false,
            interactive_follows: false,
        };
        while let Some(class) = slots.next(alone) {
            slots.take(class);
        }
        assert_eq!(slots.interactive, 20);
        for expected in [Class::Batch, Class::Batch, Class::Interactive] {
            slots.free(Class::Interactive);
            assert_eq!(slots.next(BOTH), Some(expected));
            slots.take(expected);
        }
    }
}
