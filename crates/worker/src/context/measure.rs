//! Measures turns: exactly in bytes, and in tokens by an estimate from the provider's last count.

use std::io;

use forebay_shared::{
    job::{ContextBounds, Request},
    session::TokenMeasure,
    turn::Turn,
};
use serde::Serialize;

/// The assumed bytes of a token until a provider has counted the tokens of the session.
const BYTES_PER_TOKEN: u64 = 4;

/// The sum of the bytes of each turn as JSON.
#[must_use]
pub(crate) fn sent_bytes(turns: &[Turn]) -> u64 {
    turns.iter().map(turn_bytes).sum()
}

/// The bytes of one turn as JSON.
pub(super) fn turn_bytes(turn: &Turn) -> u64 {
    json_bytes(turn)
}

/// The bytes of the instructions, the tools and the schema of the reply, as JSON. A call sends them in addition to its turns.
pub(crate) fn overhead_bytes(request: &Request) -> u64 {
    let instructions = request.instructions.as_ref().map_or(0, json_bytes);
    let schema = request.response_format.as_ref().map_or(0, json_bytes);
    let tools = if request.tools.is_empty() {
        0
    } else {
        json_bytes(&request.tools)
    };
    instructions + tools + schema
}

/// The bounds of a job's turns. Subtracts the estimated tokens of the instructions, the tools and the schema from the job's
/// `max_input_tokens`.
pub(crate) fn turn_bounds(request: &Request, token_measure: Option<TokenMeasure>) -> ContextBounds {
    let overhead_tokens = estimated_tokens(overhead_bytes(request), token_measure);
    let overhead_tokens = u32::try_from(overhead_tokens).unwrap_or(u32::MAX);
    let mut bounds = request.context.clone();
    if let Some(max) = &mut bounds.max_input_tokens {
        *max = max.saturating_sub(overhead_tokens);
    }
    bounds
}

fn json_bytes(value: &impl Serialize) -> u64 {
    let mut counter = ByteCounter(0);
    // This cannot fail: the counter accepts everything, and these values can be written as JSON.
    match serde_json::to_writer(&mut counter, value) {
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

    use serde_json::{Value, json};

    use super::{estimated_tokens, remaining_bytes, sent_bytes, turn_bounds, turn_bytes};

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

    #[test]
    fn instructions_and_tools_count_towards_the_bound_of_tokens() {
        // One token for each byte.
        let measure = Some(TokenMeasure {
            sent_bytes: 1,
            input_tokens: 1,
        });
        let max_tokens = |fields: &Value| {
            let mut request = json!({"input": [], "tool_wait_s": 60});
            for (name, value) in fields.as_object().expect("an object") {
                request[name] = value.clone();
            }
            let request = serde_json::from_value(request).expect("a request");
            turn_bounds(&request, measure).max_input_tokens
        };
        let bound = json!({"max_input_tokens": 100});
        assert_eq!(max_tokens(&json!({"instructions": "be brief"})), None);
        assert_eq!(max_tokens(&json!({"context": bound})), Some(100));
        let instructions = json!({"context": bound, "instructions": "0123456789"});
        // Two quotation marks belong to the JSON.
        assert_eq!(max_tokens(&instructions), Some(88));
        let tool = json!({"type": "function", "function": {"name": "f"}});
        let tool_bytes = u32::try_from(format!("[{tool}]").len()).expect("a small number");
        let tools = json!({"context": bound, "tools": [tool]});
        assert_eq!(max_tokens(&tools), Some(100 - tool_bytes));
        let long = json!({"context": bound, "instructions": "x".repeat(200)});
        assert_eq!(max_tokens(&long), Some(0));
    }
}
