//! The numbers of a session's turns, from the position of the first turn and the gaps (see `turn_numbers.lua`).

use std::collections::VecDeque;

use forebay_shared::store::StoreError;

use super::{redis_error::UnexpectedReply, reply_part::ReplyPart};
use crate::rejection::broken_data;

/// The numbers of turns at consecutive positions. As an iterator, it has no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TurnNumbers {
    position: u64,
    offset: u64,
    /// Pairs of a position and the offset that applies from this position on. Both ascend.
    gaps: VecDeque<(u64, u64)>,
}

impl TurnNumbers {
    /// Reads the position of the first turn, and the gaps. Both may be nil.
    pub(super) fn read(position: ReplyPart, gaps: ReplyPart) -> Result<Self, StoreError> {
        let position = match position.non_nil() {
            Some(position) => position.u64_or_zero()?,
            None => 0,
        };
        let gaps = match gaps.non_nil() {
            Some(gaps) => gaps.text()?,
            None => String::new(),
        };
        Self::parse(position, &gaps).ok_or_else(|| broken_data(UnexpectedReply("gaps")))
    }

    fn parse(position: u64, gaps: &str) -> Option<Self> {
        let gaps = gaps.split(',').filter(|gap| !gap.is_empty()).map(|gap| {
            let (position, offset) = gap.split_once(':')?;
            Some((position.parse().ok()?, offset.parse().ok()?))
        });
        let mut numbers = Self {
            position,
            offset: 0,
            gaps: gaps.collect::<Option<_>>()?,
        };
        numbers.pass_gaps();
        Some(numbers)
    }

    /// The number of the turn that is `index` positions after the first.
    pub(super) fn at(&self, index: u64) -> u64 {
        let position = self.position.saturating_add(index);
        let passed = self.gaps.iter().rev().find(|(from, _)| *from <= position);
        position.saturating_add(passed.map_or(self.offset, |(_, offset)| *offset))
    }

    /// The number that a turn gets if it is appended to this many turns.
    pub(super) fn after(&self, count: u64) -> u64 {
        match count.checked_sub(1) {
            Some(last) => self.at(last) + 1,
            None => self.at(0),
        }
    }

    /// Applies the offsets that begin at `position` or before.
    fn pass_gaps(&mut self) {
        while let Some((from, offset)) = self.gaps.front()
            && *from <= self.position
        {
            self.offset = *offset;
            self.gaps.pop_front();
        }
    }
}

impl Iterator for TurnNumbers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let number = self.at(0);
        self.position = self.position.saturating_add(1);
        self.pass_gaps();
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::TurnNumbers;

    #[test]
    fn numbers_follow_from_positions_and_gaps() {
        let numbers =
            |position, gaps| TurnNumbers::parse(position, gaps).expect("the gaps are valid");
        let first = |position, gaps| numbers(position, gaps).take(5).collect::<Vec<_>>();
        assert_eq!(first(0, ""), [0, 1, 2, 3, 4]);
        assert_eq!(first(7, ""), [7, 8, 9, 10, 11]);
        assert_eq!(first(1, "3:2,4:9"), [1, 2, 5, 13, 14]);
        assert_eq!(first(4, "3:2,4:9"), [13, 14, 15, 16, 17]);
        assert_eq!(numbers(1, "3:2,4:9").at(0), 1);
        assert_eq!(numbers(1, "3:2,4:9").at(3), 13);
        assert_eq!(numbers(1, "3:2,4:9").after(3), 6);
        assert_eq!(numbers(5, "3:2").after(0), 7);
        for wrong in ["3", "3:", "a:1", "3:1;4:1"] {
            assert_eq!(TurnNumbers::parse(0, wrong), None, "{wrong}");
        }
    }
}
