//! What confirms mean: a pure function from what lapin hands over to what became of each publish.

use std::collections::HashSet;

/// What lapin says of one publish. The returned message in it may be another publish's: lapin hands out
/// what the broker returned to whichever confirm it settles next, and settles the confirms of one
/// `multiple` in no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Which publish.
    pub(super) number: u64,
    /// Whether the broker has it, or refused it.
    pub(super) acked: bool,
    /// Which publish the returned message was that came along, by its own message id.
    pub(super) returned: Option<u64>,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in its queue.
    Stored,
    /// The broker refused it.
    Refused,
    /// There is no queue for it.
    Unroutable,
}

/// Judges a batch of confirms. A message is returned before it is confirmed, so its return travels with
/// a confirm that was settled no later than its own: in this batch, or in an earlier one, of which
/// `returned` keeps what has not found its publish yet.
pub(super) fn judge(batch: &[Settled], returned: &mut HashSet<u64>) -> Vec<(u64, Outcome)> {
    returned.extend(batch.iter().filter_map(|settled| settled.returned));
    let outcome = |settled: &Settled| {
        let outcome = if returned.remove(&settled.number) {
            Outcome::Unroutable
        } else if settled.acked {
            Outcome::Stored
        } else {
            Outcome::Refused
        };
        (settled.number, outcome)
    };
    batch.iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Outcome, Settled, judge};

    fn ack(number: u64, returned: Option<u64>) -> Settled {
        Settled {
            number,
            acked: true,
            returned,
        }
    }

    #[test]
    fn a_returned_message_is_not_the_one_it_came_with() {
        let mut returned = HashSet::new();
        // Attached to a later publish of the same batch, which was stored.
        let outcomes = judge(
            &[ack(1, None), ack(2, None), ack(3, Some(2))],
            &mut returned,
        );
        let expected = [
            (1, Outcome::Stored),
            (2, Outcome::Unroutable),
            (3, Outcome::Stored),
        ];
        assert_eq!(outcomes, expected);
        assert!(returned.is_empty());
    }

    #[test]
    fn a_return_is_kept_until_its_confirm_comes() {
        let mut returned = HashSet::new();
        let outcomes = judge(&[ack(4, Some(6))], &mut returned);
        assert_eq!(outcomes, [(4, Outcome::Stored)]);
        let outcomes = judge(&[ack(5, None), ack(6, None)], &mut returned);
        assert_eq!(outcomes, [(5, Outcome::Stored), (6, Outcome::Unroutable)]);
        assert!(returned.is_empty());
    }

    #[test]
    fn a_refused_message_is_not_stored() {
        let refused = Settled {
            number: 1,
            acked: false,
            returned: None,
        };
        let outcomes = judge(&[refused], &mut HashSet::new());
        assert_eq!(outcomes, [(1, Outcome::Refused)]);
    }
}
