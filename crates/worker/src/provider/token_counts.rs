//! Reads the token counts of an answer. A count in an unexpected form is ignored, so the answer can still be read.

use forebay_shared::{document::UnknownFields, job::Usage};
use serde_json::Value;

/// The highest count of tokens that is accepted. A higher count is a mistake of the provider.
const TOKENS_MAX: u64 = 1_000_000_000_000;

/// The counts that an answer reports. `None`: the count is missing or impossible.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TokenCounts {
    /// Tokens sent, cached tokens included.
    pub(super) input: Option<u64>,
    /// Tokens received, reasoning tokens included.
    pub(super) output: Option<u64>,
    /// Input and output tokens together.
    pub(super) total: Option<u64>,
    /// Tokens sent that the provider had in its cache.
    pub(super) cached_input: Option<u64>,
    /// Tokens that the model spent on reasoning.
    pub(super) reasoning: Option<u64>,
}

impl TokenCounts {
    /// The usage of a job; `None` if input, output and total are all missing. A missing input or output counts as 0. A
    /// missing total is the sum of input and output.
    ///
    /// Some services count cached tokens apart from the input, or reasoning tokens apart from the output. Cached tokens are
    /// added to the input if they exceed it. Reasoning tokens are added to the output if they exceed it, or if the total is
    /// the sum of all three.
    pub(super) fn into_usage(self) -> Option<Usage> {
        self.input.or(self.output).or(self.total)?;
        let mut input_tokens = self.input.unwrap_or(0);
        let mut output_tokens = self.output.unwrap_or(0);
        let cached = self.cached_input.unwrap_or(0);
        let reasoning = self.reasoning.unwrap_or(0);
        if cached > input_tokens {
            input_tokens += cached;
        }
        if reasoning > output_tokens || self.total == Some(input_tokens + output_tokens + reasoning)
        {
            output_tokens += reasoning;
        }
        let sum = input_tokens + output_tokens;
        Some(Usage {
            input_tokens,
            output_tokens,
            total_tokens: self.total.map_or(sum, |total| total.max(sum)),
            cached_input_tokens: self.cached_input,
            reasoning_tokens: self.reasoning,
            unknown: UnknownFields::NONE,
        })
    }
}

/// Reads a count: a number, or a text that contains a number. A fraction is rounded. `None` if the value is not a count,
/// or is negative.
pub(super) fn read(value: &Value) -> Option<u64> {
    let count: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if !(0.0..=TOKENS_MAX as f64).contains(&count) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and TOKENS_MAX"
    )]
    Some(count.round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{TokenCounts, read};

    #[test]
    fn counts_are_read_in_any_form() {
        for (value, expected) in [
            (json!(7), Some(7)),
            (json!(0), Some(0)),
            (json!(7.0), Some(7)),
            (json!(7.6), Some(8)),
            (json!("7"), Some(7)),
            (json!(" 7.0 "), Some(7)),
            (json!(1e3), Some(1_000)),
            (json!(-35), None),
            (json!(-0.6), None),
            (json!("-1"), None),
            (json!(u64::MAX), None),
            (json!(1e300), None),
            (json!("many"), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!(""), None),
            (json!(null), None),
            (json!(true), None),
            (json!([7]), None),
            (json!({"value": 7}), None),
        ] {
            assert_eq!(read(&value), expected, "{value}");
        }
    }

    #[test]
    fn cached_and_reasoning_tokens_that_are_counted_separately_are_added() {
        for (input, cached, output, reasoning, total, expected) in [
            (3, 2, 9, 4, Some(12), (3, 9, 12)),
            (3, 20, 9, 4, None, (23, 9, 32)),
            (32, 0, 9, 300, Some(341), (32, 309, 341)),
            (32, 0, 9, 300, None, (32, 309, 341)),
            (32, 0, 9, 5, Some(46), (32, 14, 46)),
        ] {
            let counts = TokenCounts {
                input: Some(input),
                output: Some(output),
                total,
                cached_input: Some(cached),
                reasoning: Some(reasoning),
            };
            let usage = counts.into_usage().expect("usage");
            let sums = (usage.input_tokens, usage.output_tokens, usage.total_tokens);
            assert_eq!(sums, expected, "{counts:?}");
        }
    }

    #[test]
    fn the_total_is_never_below_the_sum_of_input_and_output() {
        let total = |input, output, total| {
            let counts = TokenCounts {
                input,
                output,
                total,
                ..TokenCounts::default()
            };
            counts.into_usage().map(|usage| usage.total_tokens)
        };
        assert_eq!(total(Some(3), Some(2), None), Some(5));
        assert_eq!(total(Some(3), Some(2), Some(9)), Some(9));
        assert_eq!(total(Some(1_151), None, Some(1_116)), Some(1_151));
        assert_eq!(total(None, None, Some(4)), Some(4));
        assert_eq!(total(None, None, None), None);
    }
}
