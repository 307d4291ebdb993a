//! Decides which acks of a channel are sent as one frame. This file only tracks delivery tags and sends nothing.
//!
//! One ack for many deliveries costs this process about a seventh of what separate acks cost, and the broker about
//! half. But an ack with `multiple` settles every delivery up to its tag. So it is used only if every delivery up to
//! its tag is either acked in this batch or settled already.

use std::collections::{BTreeMap, BTreeSet};

use forebay_shared::queue::Disposition;

/// A frame that settles deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SettleFrame {
    /// Acks one delivery, or with `multiple` also all unsettled deliveries before it.
    Ack { tag: u64, multiple: bool },
    /// Returns one delivery to its queue.
    Requeue { tag: u64 },
}

/// Tracks which deliveries of a channel are settled. RabbitMQ numbers the deliveries of a channel from 1.
#[derive(Debug, Default)]
pub(super) struct AckBatcher {
    /// All deliveries up to this tag are settled.
    settled_up_to: u64,
    /// The settled tags above `settled_up_to`. They accumulate while an older delivery stays unsettled.
    settled_beyond: BTreeSet<u64>,
}

impl AckBatcher {
    /// Returns the frames that settle a batch: a disposition for each delivery tag. The frames may be sent in any
    /// order, but before the frames of the next batch.
    pub(super) fn frames(&mut self, batch: &BTreeMap<u64, Disposition>) -> Vec<SettleFrame> {
        let mut frames = Vec::new();
        let covered = self.acked_without_gap(batch);
        if let Some(&tag) = covered.last() {
            let multiple = covered.len() > 1;
            frames.push(SettleFrame::Ack { tag, multiple });
        }
        let others = batch.iter().skip(covered.len());
        frames.extend(others.map(|(&tag, disposition)| match disposition {
            Disposition::Ack => SettleFrame::Ack {
                tag,
                multiple: false,
            },
            Disposition::Requeue => SettleFrame::Requeue { tag },
        }));
        self.settled_beyond.extend(batch.keys());
        while self.settled_beyond.remove(&(self.settled_up_to + 1)) {
            self.settled_up_to += 1;
        }
        frames
    }

    /// Returns the tags at the start of the batch that one ack can cover: each is acked, and all deliveries before it
    /// are settled.
    fn acked_without_gap(&self, batch: &BTreeMap<u64, Disposition>) -> Vec<u64> {
        let mut next = self.settled_up_to + 1;
        let mut covered = Vec::new();
        for (&tag, disposition) in batch {
            while self.settled_beyond.contains(&next) {
                next += 1;
            }
            if tag != next || *disposition != Disposition::Ack {
                break;
            }
            covered.push(tag);
            next += 1;
        }
        covered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use forebay_shared::queue::Disposition::{self, Ack, Requeue};
    use proptest::prelude::*;

    use super::{AckBatcher, SettleFrame};

    fn acks<const N: usize>(tags: [u64; N]) -> BTreeMap<u64, Disposition> {
        BTreeMap::from(tags.map(|tag| (tag, Ack)))
    }

    fn ack(tag: u64) -> SettleFrame {
        SettleFrame::Ack {
            tag,
            multiple: false,
        }
    }

    fn ack_up_to(tag: u64) -> SettleFrame {
        SettleFrame::Ack {
            tag,
            multiple: true,
        }
    }

    #[test]
    fn acks_that_begin_with_the_oldest_delivery_and_leave_no_gap_are_one_frame() {
        let mut batcher = AckBatcher::default();
        assert_eq!(batcher.frames(&acks([3, 1, 2])), [ack_up_to(3)]);
        assert_eq!(
            batcher.frames(&acks([4])),
            [ack(4)],
            "a single delivery needs no `multiple`"
        );
    }

    #[test]
    fn no_ack_covers_a_gap() {
        let mut batcher = AckBatcher::default();
        assert_eq!(
            batcher.frames(&acks([2, 3, 5])),
            [ack(2), ack(3), ack(5)],
            "1 and 4 are unsettled"
        );
        assert_eq!(
            batcher.frames(&acks([1, 4, 6])),
            [ack_up_to(6)],
            "2, 3 and 5 are settled and leave no gap"
        );
    }

    #[test]
    fn no_ack_covers_a_requeued_delivery() {
        let mut batcher = AckBatcher::default();
        let batch = BTreeMap::from([(1, Ack), (2, Requeue), (3, Ack)]);
        let frames = batcher.frames(&batch);
        assert_eq!(frames, [ack(1), SettleFrame::Requeue { tag: 2 }, ack(3)]);
        assert_eq!(batcher.frames(&acks([4, 5])), [ack_up_to(5)]);
    }

    proptest! {
        /// Applies the frames to a model of the broker. In the model, a delivery is `None` while it is unsettled, then
        /// `Some(true)` if it was acked and `Some(false)` if it was requeued.
        #[test]
        fn every_delivery_is_settled_once_with_its_disposition(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            requeued in prop::collection::btree_set(1..=40_u64, 0..8),
            batch_sizes in prop::collection::vec(1..9_usize, 40),
        ) {
            let mut batcher = AckBatcher::default();
            let mut broker: BTreeMap<u64, Option<bool>> = (1..=40).map(|tag| (tag, None)).collect();
            let mut order = order.into_iter().peekable();
            for size in batch_sizes {
                let disposition = |tag| (tag, if requeued.contains(&tag) { Requeue } else { Ack });
                let batch = BTreeMap::from_iter(order.by_ref().take(size).map(disposition));
                for frame in batcher.frames(&batch) {
                    let (first, tag, acked) = match frame {
                        SettleFrame::Ack { tag, multiple: true } => (1, tag, true),
                        SettleFrame::Ack { tag, multiple: false } => (tag, tag, true),
                        SettleFrame::Requeue { tag } => (tag, tag, false),
                    };
                    prop_assert_eq!(broker[&tag], None, "{:?} settles a delivery again", frame);
                    for (_, state) in broker.range_mut(first..=tag) {
                        state.get_or_insert(acked);
                    }
                }
                for (tag, disposition) in batch {
                    prop_assert_eq!(broker[&tag], Some(disposition == Ack));
                }
                if order.peek().is_none() {
                    break;
                }
            }
        }
    }
}
