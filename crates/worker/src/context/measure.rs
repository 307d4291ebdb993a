//! Measures turns: exactly in bytes, and in tokens by an estimate from the provider's last count.

use std::io;

use forebay_shared::{session::TokenMeasure, turn::Turn};

/// The assumed bytes of a token until a provider has counted the tokens of the session.
const BYTES_PER_TOKEN: u64 = 4;

/// The sum of the bytes of each turn as JSON. [`TokenMeasure::sent_bytes`] holds it.
#[must_use]
pub(crate) fn sent_bytes(turns: &[Turn]) -> u64 {
    turns.iter().map(turn_bytes).sum()
}

/// The bytes of one turn as JSON.
pub(super) fn turn_bytes(turn: &Turn) -> u64 {
    let mut counter = ByteCounter(0);
    // This cannot fail: the counter accepts everything, and every turn can be written as JSON.
    match serde_json::to_writer(&mut counter, turn) {
        Ok(()) | Err(_) => counter.0,
    }
}

/// For each turn, the sum of the bytes of this turn and all later turns. The last element is 0. Each turn is serialized
/// only once, because it may be long.
pub(super) fn remaining_bytes<'a>(turns: impl DoubleEndedIterator<Item = &'a Turn>) -> Vec<u64> {
    let mut sum = 0;
    let mut sums: Vec<u64> = turns
        .rev()
        .map(|turn| {
            sum += turn_bytes(turn);
            sum
        })
        .collect();
    sums.reverse();
    sums.push(0);
    sums
}

/// An estimate of the tokens in this many bytes, rounded up.
pub(super) fn estimated_tokens(bytes: u64, token_measure: Option<TokenMeasure>) -> u64 {
    match token_measure {
        Some(TokenMeasure {
            sent_bytes,
            input_tokens,
        }) if sent_bytes > 0 && input_tokens > 0 => {
            let tokens = u128::from(bytes) * u128::from(input_tokens);
            u64::try_from(tokens.div_ceil(u128::from(sent_bytes))).unwrap_or(u64::MAX)
        }
        _ => bytes.div_ceil(BYTES_PER_TOKEN),
    }
}

/// A writer that only counts the bytes.
struct ByteCounter(u64);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        session::TokenMeasure,
        turn::{Role, Turn},
    };

    use super::{estimated_tokens, remaining_bytes, sent_bytes, turn_bytes};

    #[test]
    fn a_turn_has_the_bytes_of_its_json() {
        let turn = Turn::text(Role::User, "é\n");
        assert_eq!(
            turn_bytes(&turn),
            serde_json::to_vec(&turn)
                .expect("the turn becomes JSON")
                .len() as u64
        );
    }

    #[test]
    fn remaining_bytes_are_counted_from_each_turn_to_the_last() {
        let turns = ["a", "bb", "ccc"].map(|text| Turn::text(Role::User, text));
        let remaining = remaining_bytes(turns.iter());
        for (index, bytes) in remaining.iter().enumerate() {
            assert_eq!(*bytes, sent_bytes(&turns[index..]));
        }
        assert_eq!(remaining.len(), turns.len() + 1);
    }

    #[test]
    fn tokens_are_estimated_from_the_last_count() {
        let measure = |sent_bytes, input_tokens| {
            Some(TokenMeasure {
                sent_bytes,
                input_tokens,
            })
        };
        assert_eq!(estimated_tokens(9, None), 3);
        assert_eq!(estimated_tokens(10, measure(100, 50)), 5);
        assert_eq!(estimated_tokens(10, measure(3, 1)), 4);
        assert_eq!(estimated_tokens(8, measure(0, 7)), 2);
        assert_eq!(estimated_tokens(8, measure(7, 0)), 2);
        assert_eq!(estimated_tokens(u64::MAX, measure(1, u64::MAX)), u64::MAX);
    }
}
