//! Which acks go out as one: pure bookkeeping of the delivery tags of a channel.
//!
//! An ack for each delivery costs this process about seven times what an ack of many costs, and the
//! broker twice. But `multiple` settles everything up to its tag that is not settled yet, so it may only
//! cover what begins with the oldest unsettled delivery and has no gap.

use std::collections::{BTreeMap, BTreeSet};

use forebay_shared::queue::Settle;

/// Something that happened to a delivery of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// It came; before it was handed to anyone.
    Received(u64),
    /// Whoever had it is through with it.
    Settled(u64, Settle),
}

/// What the broker is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// This one is done with; with `multiple`, so are all before it.
    Ack { tag: u64, multiple: bool },
    /// Somebody else may have this one.
    GiveBack { tag: u64 },
}

/// The deliveries of a channel that are unsettled: at most as many as its prefetch.
#[derive(Debug, Default)]
pub(super) struct Runs {
    unsettled: BTreeSet<u64>,
}

impl Runs {
    /// Takes note of what has piled up. The frames may be sent in any order, but before the next ones.
    pub(super) fn take(&mut self, notes: impl IntoIterator<Item = Note>) -> Vec<Frame> {
        let mut settled = BTreeMap::new();
        for note in notes {
            match note {
                Note::Received(tag) => {
                    self.unsettled.insert(tag);
                }
                // A tag that the broker does not know ends the channel; it is settled once.
                Note::Settled(tag, how) if self.unsettled.contains(&tag) => {
                    settled.insert(tag, how);
                }
                Note::Settled(..) => {}
            }
        }
        let acked = |tag: &&u64| settled.get(tag) == Some(&Settle::Ack);
        let run: Vec<u64> = self.unsettled.iter().take_while(acked).copied().collect();
        let mut frames = Vec::new();
        if let Some(&tag) = run.last() {
            let multiple = run.len() > 1;
            frames.push(Frame::Ack { tag, multiple });
        }
        for tag in settled.keys() {
            self.unsettled.remove(tag);
        }
        let beyond = settled.iter().skip(run.len());
        frames.extend(beyond.map(|(&tag, how)| match how {
            Settle::Ack => Frame::Ack {
                tag,
                multiple: false,
            },
            Settle::GiveBack => Frame::GiveBack { tag },
        }));
        frames
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::queue::Settle::{Ack, GiveBack};
    use proptest::prelude::*;

    use super::{Frame, Note, Runs};

    fn received(runs: &mut Runs, tags: std::ops::RangeInclusive<u64>) {
        assert!(runs.take(tags.map(Note::Received)).is_empty());
    }

    fn ack(tag: u64) -> Frame {
        Frame::Ack {
            tag,
            multiple: false,
        }
    }

    #[test]
    fn a_run_from_the_oldest_on_is_one_ack() {
        let mut runs = Runs::default();
        received(&mut runs, 1..=6);
        let frames = runs.take([3, 1, 2].map(|tag| Note::Settled(tag, Ack)));
        let run = Frame::Ack {
            tag: 3,
            multiple: true,
        };
        assert_eq!(frames, [run]);
        assert_eq!(runs.take([Note::Settled(4, Ack)]), [ack(4)], "a run of one");
    }

    #[test]
    fn nothing_is_acked_across_a_gap() {
        let mut runs = Runs::default();
        received(&mut runs, 1..=6);
        let frames = runs.take([2, 3, 5].map(|tag| Note::Settled(tag, Ack)));
        assert_eq!(frames, [ack(2), ack(3), ack(5)]);
        // What was settled alone leaves no gap behind.
        let frames = runs.take([1, 4, 6].map(|tag| Note::Settled(tag, Ack)));
        let run = Frame::Ack {
            tag: 6,
            multiple: true,
        };
        assert_eq!(frames, [run]);
    }

    #[test]
    fn what_is_given_back_is_in_no_run() {
        let mut runs = Runs::default();
        received(&mut runs, 1..=3);
        let frames = runs.take([
            Note::Settled(1, Ack),
            Note::Settled(2, GiveBack),
            Note::Settled(3, Ack),
        ]);
        assert_eq!(frames, [ack(1), Frame::GiveBack { tag: 2 }, ack(3)]);
    }

    #[test]
    fn a_tag_that_is_not_outstanding_is_not_sent() {
        let mut runs = Runs::default();
        received(&mut runs, 1..=1);
        let note = Note::Settled(1, Ack);
        assert_eq!(runs.take([note, note]), [ack(1)]);
        assert!(runs.take([note]).is_empty());
    }

    proptest! {
        /// Against a broker that does by the letter what it is told.
        #[test]
        fn every_delivery_is_settled_once_and_as_was_said(
            settled in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            given_back in prop::collection::btree_set(1..=40_u64, 0..8),
            sizes in prop::collection::vec(1..9_usize, 40),
        ) {
            let mut runs = Runs::default();
            received(&mut runs, 1..=40);
            let mut broker: std::collections::BTreeMap<u64, Option<bool>> =
                (1..=40).map(|tag| (tag, None)).collect();
            let mut settled = settled.into_iter().peekable();
            for size in sizes {
                let pile: Vec<u64> = settled.by_ref().take(size).collect();
                let note = |&tag: &u64| {
                    let back = given_back.contains(&tag);
                    Note::Settled(tag, if back { GiveBack } else { Ack })
                };
                for frame in runs.take(pile.iter().map(note)) {
                    let (tag, acked) = match frame {
                        Frame::Ack { tag, .. } => (tag, true),
                        Frame::GiveBack { tag } => (tag, false),
                    };
                    prop_assert_eq!(broker[&tag], None, "{:?} is settled already", frame);
                    let from = if matches!(frame, Frame::Ack { multiple: true, .. }) { 1 } else { tag };
                    for (_, state) in broker.range_mut(from..=tag) {
                        state.get_or_insert(acked);
                    }
                }
                for tag in pile {
                    prop_assert_eq!(broker[&tag], Some(!given_back.contains(&tag)));
                }
                if settled.peek().is_none() {
                    break;
                }
            }
        }
    }
}
