//! How long turns are: in bytes exactly, in tokens by what the provider counted before.

use std::io;

use forebay_shared::{session::TokenMeasure, turn::Turn};

/// What a token has in bytes as long as no provider has counted any.
const BYTES_PER_TOKEN: u64 = 4;

/// The bytes of turns as JSON, each for itself. What [`TokenMeasure::sent_bytes`] holds.
#[must_use]
pub fn sent_bytes(turns: &[Turn]) -> u64 {
    turns.iter().map(turn_bytes).sum()
}

/// The bytes of one turn as JSON.
pub(super) fn turn_bytes(turn: &Turn) -> u64 {
    let mut counted = Counted(0);
    // Counting cannot fail, and a turn can always be written.
    match serde_json::to_writer(&mut counted, turn) {
        Ok(()) | Err(_) => counted.0,
    }
}

/// For each turn, and for the place behind the last, the bytes of what stands from there on. Each turn is written once,
/// as one may be long.
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

/// About how many tokens this many bytes are, rounded up.
pub(super) fn estimated_tokens(bytes: u64, measure: Option<TokenMeasure>) -> u64 {
    match measure {
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

/// Counts what is written and keeps none of it.
struct Counted(u64);

impl io::Write for Counted {
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
    fn bytes_are_those_of_the_json() {
        let turn = Turn::text(Role::User, "é\n");
        assert_eq!(
            turn_bytes(&turn),
            serde_json::to_vec(&turn).expect("JSON").len() as u64
        );
    }

    #[test]
    fn what_remains_is_counted_from_each_turn_on() {
        let turns = ["a", "bb", "ccc"].map(|text| Turn::text(Role::User, text));
        let remaining = remaining_bytes(turns.iter());
        for (at, bytes) in remaining.iter().enumerate() {
            assert_eq!(*bytes, sent_bytes(&turns[at..]));
        }
        assert_eq!(remaining.len(), turns.len() + 1);
    }

    #[test]
    fn tokens_follow_what_was_counted_before() {
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
