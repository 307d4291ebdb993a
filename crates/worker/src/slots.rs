//! Decides which class gets the next free slot. The functions do no I/O.
//!
//! Interactive jobs go first. While batch jobs wait, they get at least a tenth. In a worker with ten or more slots, this is a
//! tenth of the slots. In a smaller worker, it is every tenth start. A class may also use slots that the other class does
//! not need.
//!
//! Beyond this tenth, a batch job gets a slot only when no interactive wake is about to arrive. Otherwise, when several
//! slots become free at once, batch jobs would get most of them.

use forebay_shared::class::Class;

/// One of this many slots is for batch jobs. In a worker with fewer slots, one of this many starts is for a batch job.
const BATCH_SHARE_DIVISOR: usize = 10;

/// Which classes have a job to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Whether an interactive wake is buffered.
    pub(crate) has_interactive: bool,
    /// Whether a batch wake is buffered.
    pub(crate) has_batch: bool,
    /// Whether the queue may be about to deliver an interactive wake, although none is buffered.
    pub(crate) expects_interactive: bool,
}

/// The slots of a worker and the classes that use them.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    total: usize,
    /// Slots in use by interactive jobs.
    interactive: usize,
    /// Slots in use by batch jobs.
    batch: usize,
    /// Interactive starts since the last batch start.
    interactive_starts: usize,
}

impl Slots {
    /// `total` free slots, at least one.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total: total.max(1),
            interactive: 0,
            batch: 0,
            interactive_starts: 0,
        }
    }

    /// The class that may start a job now, if any.
    pub(crate) fn next(&self, waiting: Waiting) -> Option<Class> {
        if self.interactive + self.batch >= self.total {
            return None;
        }
        match waiting {
            Waiting {
                has_interactive: true,
                has_batch: true,
                ..
            } if self.is_batch_due() => Some(Class::Batch),
            Waiting {
                has_interactive: true,
                ..
            } => Some(Class::Interactive),
            Waiting {
                has_batch: true,
                expects_interactive: true,
                ..
            } if !self.is_batch_due() => None,
            Waiting {
                has_batch: true, ..
            } => Some(Class::Batch),
            Waiting { .. } => None,
        }
    }

    /// Whether batch jobs have less than their tenth of the slots or, in a small worker, of the starts.
    fn is_batch_due(&self) -> bool {
        if self.total >= BATCH_SHARE_DIVISOR {
            self.batch < self.total.div_ceil(BATCH_SHARE_DIVISOR)
        } else {
            self.interactive_starts + 1 >= BATCH_SHARE_DIVISOR
        }
    }

    /// Counts the start of a job.
    pub(crate) fn take(&mut self, class: Class) {
        match class {
            Class::Interactive => {
                self.interactive += 1;
                self.interactive_starts += 1;
            }
            Class::Batch => {
                self.batch += 1;
                self.interactive_starts = 0;
            }
        }
    }

    /// Counts the end of a job.
    pub(crate) fn free(&mut self, class: Class) {
        let running = match class {
            Class::Interactive => &mut self.interactive,
            Class::Batch => &mut self.batch,
        };
        *running = running.saturating_sub(1);
    }

    /// How many unacknowledged wakes of the class the queue may deliver to this worker.
    ///
    /// This is the number of slots. So a worker whose slots all run one class withholds no further wakes of that class
    /// from other workers. A worker with fewer than ten slots may have one more interactive wake. This wake is buffered while
    /// all slots run interactive jobs. Without it, a batch job would get every slot that becomes free.
    pub(crate) fn unacked_max(&self, class: Class) -> usize {
        match class {
            Class::Interactive if self.total < BATCH_SHARE_DIVISOR => self.total + 1,
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
        has_interactive: true,
        has_batch: true,
        expects_interactive: false,
    };

    /// A change of the slots.
    #[derive(Clone, Debug)]
    enum Step {
        /// A job of the class ends, if one runs.
        End(Class),
        /// These classes wait, and a job starts if one may.
        Start(Waiting),
    }

    fn step() -> impl Strategy<Value = Step> {
        let class = prop_oneof![Just(Class::Interactive), Just(Class::Batch)];
        let waiting = any::<(bool, bool)>().prop_map(|(has_interactive, has_batch)| Waiting {
            has_interactive,
            has_batch,
            expects_interactive: false,
        });
        prop_oneof![class.prop_map(Step::End), waiting.prop_map(Step::Start)]
    }

    proptest! {
        #[test]
        fn no_slot_is_used_twice_and_none_is_free_while_jobs_wait(
            total in 1_usize..40,
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut slots = Slots::new(total);
            for step in steps {
                match step {
                    Step::End(class) => slots.free(class),
                    Step::Start(waiting) => {
                        let is_free = slots.interactive + slots.batch < total;
                        let next = slots.next(waiting);
                        prop_assert_eq!(next.is_some(), is_free && (waiting.has_interactive || waiting.has_batch));
                        if let Some(class) = next {
                            prop_assert!(class != Class::Interactive || waiting.has_interactive);
                            prop_assert!(class != Class::Batch || waiting.has_batch);
                            slots.take(class);
                        }
                    }
                }
                prop_assert!(slots.interactive + slots.batch <= total);
            }
        }

        #[test]
        fn with_ten_or_more_slots_batch_jobs_have_a_tenth_and_interactive_jobs_the_others(
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
                let next = slots.next(BOTH).expect("a slot should be free");
                slots.take(next);
                prop_assert_eq!((slots.interactive, slots.batch), (total - share, share));
            }
        }

        #[test]
        fn with_fewer_slots_every_tenth_start_is_of_a_batch_job(total in 1_usize..10, ends in prop::collection::vec(any::<bool>(), 40)) {
            let mut slots = Slots::new(total);
            let mut started = Vec::new();
            for is_batch in ends {
                while let Some(class) = slots.next(BOTH) {
                    slots.take(class);
                    started.push(class);
                }
                let ended = if is_batch && slots.batch > 0 || slots.interactive == 0 { Class::Batch } else { Class::Interactive };
                slots.free(ended);
            }
            for ten_starts in started.chunks_exact(10) {
                prop_assert_eq!(ten_starts.iter().filter(|class| **class == Class::Batch).count(), 1);
                prop_assert_eq!(ten_starts[9], Class::Batch);
            }
        }
    }

    #[test]
    fn beyond_their_share_batch_jobs_wait_for_an_expected_interactive_job() {
        let interactive_is_expected = Waiting {
            has_interactive: false,
            has_batch: true,
            expects_interactive: true,
        };
        let only_batch_waits = Waiting {
            expects_interactive: false,
            ..interactive_is_expected
        };
        for total in [1, 5, 10, 30] {
            let mut slots = Slots::new(total);
            let share = if total < 10 { 0 } else { total.div_ceil(10) };
            for _ in 0..share {
                assert_eq!(slots.next(interactive_is_expected), Some(Class::Batch));
                slots.take(Class::Batch);
            }
            assert_eq!(slots.next(interactive_is_expected), None);
            assert_eq!(slots.next(only_batch_waits), Some(Class::Batch));
        }
    }

    #[test]
    fn batch_jobs_that_arrive_late_get_the_next_free_slots() {
        let mut slots = Slots::new(20);
        let only_interactive_waits = Waiting {
            has_interactive: true,
            has_batch: false,
            expects_interactive: false,
        };
        while let Some(class) = slots.next(only_interactive_waits) {
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
