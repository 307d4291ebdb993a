//! Reads the `usage` of an answer. Compatible services use different names for its counts.
//!
//! The constants list the names of each count as JSON pointers (RFC 6901). The first valid count is used.

use forebay_shared::job::Usage;
use serde_json::Value;

use crate::provider::token_counts::{self, TokenCounts};

const INPUT: [&str; 2] = ["/prompt_tokens", "/input_tokens"];
const OUTPUT: [&str; 2] = ["/completion_tokens", "/output_tokens"];
const TOTAL: [&str; 1] = ["/total_tokens"];
const CACHED_INPUT: [&str; 5] = [
    "/prompt_tokens_details/cached_tokens",
    "/input_tokens_details/cached_tokens",
    "/prompt_cache_hit_tokens",
    "/cache_read_input_tokens",
    "/cached_tokens",
];
const REASONING: [&str; 3] = [
    "/completion_tokens_details/reasoning_tokens",
    "/output_tokens_details/reasoning_tokens",
    "/reasoning_tokens",
];

/// The usage of an answer; `None` if no count can be read.
pub(super) fn read(usage: &Value) -> Option<Usage> {
    let count = |pointers: &[&str]| {
        let mut values = pointers.iter().filter_map(|pointer| usage.pointer(pointer));
        values.find_map(token_counts::read)
    };
    let counts = TokenCounts {
        input: count(&INPUT).map(|input| input + separate_cache_tokens(usage)),
        output: count(&OUTPUT),
        total: count(&TOTAL),
        cached_input: count(&CACHED_INPUT),
        reasoning: count(&REASONING),
    };
    counts.into_usage()
}

/// The tokens that were read from the cache or written to it, if `input_tokens` does not include them. Anthropic's own form
/// counts them separately.
fn separate_cache_tokens(usage: &Value) -> u64 {
    if !usage["prompt_tokens"].is_null() {
        // Services with OpenAI's form include these tokens in `prompt_tokens`.
        return 0;
    }
    let fields = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    let counts = fields
        .iter()
        .filter_map(|field| token_counts::read(&usage[*field]));
    counts.sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    fn counts(usage: &Value) -> Option<[Option<u64>; 5]> {
        let usage = read(usage)?;
        Some([
            Some(usage.input_tokens),
            Some(usage.output_tokens),
            Some(usage.total_tokens),
            usage.cached_input_tokens,
            usage.reasoning_tokens,
        ])
    }

    #[test]
    fn counts_in_unusual_forms_are_read_or_left_out() {
        for (usage, expected) in [
            // A negative count is left out. A total below the sum of the other two counts is replaced by that sum.
            (
                json!({"prompt_tokens": 1151, "completion_tokens": -35, "total_tokens": 1116}),
                Some([1_151, 0, 1_151]),
            ),
            (
                json!({"prompt_tokens": "12", "completion_tokens": 3.0, "total_tokens": 15.2}),
                Some([12, 3, 15]),
            ),
            (
                json!({"prompt_tokens": null, "completion_tokens": 3}),
                Some([0, 3, 3]),
            ),
            (
                json!({"input_tokens": 4, "output_tokens": 5}),
                Some([4, 5, 9]),
            ),
            (json!({"prompt_tokens": {}, "completion_tokens": []}), None),
            (json!({}), None),
            (json!(7), None),
        ] {
            let expected = expected
                .map(|[input, output, total]| [Some(input), Some(output), Some(total), None, None]);
            assert_eq!(counts(&usage), expected, "{usage}");
        }
    }

    #[test]
    fn tokens_that_are_counted_separately_are_added() {
        for (usage, expected) in [
            (
                json!({"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 20_000, "cache_creation_input_tokens": 100}),
                [Some(20_103), Some(5), Some(20_108), Some(20_000), None],
            ),
            (
                json!({"input_tokens": 500, "output_tokens": 5, "cache_read_input_tokens": 300}),
                [Some(800), Some(5), Some(805), Some(300), None],
            ),
            (
                json!({"prompt_tokens": 800, "completion_tokens": 5, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 100}),
                [Some(800), Some(5), Some(805), Some(300), None],
            ),
            (
                json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 341, "completion_tokens_details": {"reasoning_tokens": 300}}),
                [Some(32), Some(309), Some(341), None, Some(300)],
            ),
        ] {
            assert_eq!(counts(&usage), Some(expected), "{usage}");
        }
    }

    #[test]
    fn cached_and_reasoning_tokens_are_read_under_each_name() {
        for details in [
            json!({"prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 4}}),
            json!({"input_tokens_details": {"cached_tokens": 6}, "output_tokens_details": {"reasoning_tokens": 4}}),
            json!({"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4, "reasoning_tokens": 4}),
            json!({"cached_tokens": "6", "completion_tokens_details": {"reasoning_tokens": 4.0}}),
        ] {
            let mut usage = details;
            usage["prompt_tokens"] = 10.into();
            usage["completion_tokens"] = 5.into();
            let expected = [Some(10), Some(5), Some(15), Some(6), Some(4)];
            assert_eq!(counts(&usage), Some(expected), "{usage}");
        }
        let usage = json!({"prompt_tokens": 10, "prompt_tokens_details": null, "completion_tokens_details": {"reasoning_tokens": -1}});
        assert_eq!(
            counts(&usage),
            Some([Some(10), Some(0), Some(10), None, None])
        );
    }
}
