//! The limits that follow from refused calls.

use super::{ContextLimit, RefusedCall};
use crate::{
    context::size::{CountedSize, InputSize},
    provider::ContextTokens,
};

const NONE: ContextTokens = ContextTokens {
    limit: None,
    input: None,
    output: None,
    total: None,
    excess: None,
};

/// An input that is estimated at 2,000 tokens until the provider has counted an input.
const INPUT: InputSize = InputSize {
    bytes: 8_000,
    pieces: 1_600,
};

const fn stated_limit(tokens: u64) -> ContextLimit {
    ContextLimit {
        tokens,
        is_stated: true,
        counted: None,
    }
}

#[test]
fn a_part_of_the_limit_stays_free() {
    for (tokens, max_output_tokens, expected) in [
        (1_024, None, 896),
        (1_024, Some(100), 896),
        (1_024, Some(200), 824),
        (1_024, Some(9_000), 512),
        (131_072, None, 114_688),
    ] {
        let limit = stated_limit(tokens);
        let max = limit.input_tokens_max(max_output_tokens);
        assert_eq!(max, expected, "{tokens} {max_output_tokens:?}");
        let input = |tokens| InputSize {
            bytes: 0,
            pieces: tokens,
        };
        assert!(limit.fits(input(max), max_output_tokens));
        assert!(!limit.fits(input(max + 1), max_output_tokens));
    }
}

#[test]
fn the_limit_follows_from_a_refusal() {
    let counted = |size, tokens| Some(CountedSize { size, tokens });
    for (stated, max_output_tokens, tokens, expected_count, refused_input_is_above_limit) in [
        // The limit and the input are stated.
        (
            ContextTokens {
                limit: Some(1_024),
                input: Some(4_000),
                ..NONE
            },
            None,
            1_024,
            counted(INPUT, 4_000),
            true,
        ),
        // The job asks for a long reply.
        (
            ContextTokens {
                limit: Some(2_048),
                total: Some(3_048),
                output: Some(1_000),
                ..NONE
            },
            Some(1_000),
            2_048,
            counted(INPUT, 2_048),
            true,
        ),
        // The server reserves tokens for the reply.
        (
            ContextTokens {
                limit: Some(2_048),
                input: Some(2_000),
                output: Some(512),
                ..NONE
            },
            None,
            1_536,
            counted(INPUT, 2_000),
            true,
        ),
        // Only the limit is stated, and the estimate is above it.
        (
            ContextTokens {
                limit: Some(1_024),
                ..NONE
            },
            None,
            1_024,
            None,
            true,
        ),
        // Only the limit is stated, and the estimate was too low.
        (
            ContextTokens {
                limit: Some(4_096),
                ..NONE
            },
            None,
            4_096,
            counted(INPUT.half(), 4_096),
            false,
        ),
        // Only the excess is stated.
        (
            ContextTokens {
                excess: Some(400),
                ..NONE
            },
            None,
            1_600,
            None,
            true,
        ),
        // Nothing is stated.
        (NONE, None, 1_000, None, false),
        (NONE, Some(300), 1_300, None, false),
        // The limit is too low for any model.
        (
            ContextTokens {
                limit: Some(8),
                input: Some(9),
                ..NONE
            },
            None,
            1_000,
            None,
            false,
        ),
    ] {
        let call = RefusedCall {
            input: INPUT,
            max_output_tokens,
            known: None,
        };
        let result = call.evaluate(stated);
        let limit = ContextLimit {
            tokens,
            is_stated: stated.limit.is_some_and(|limit| limit >= 256),
            counted: expected_count,
        };
        assert_eq!(result.limit, limit, "{stated:?}");
        assert_eq!(
            result.refused_input_is_above_limit, refused_input_is_above_limit,
            "{stated:?}"
        );
    }
}

#[test]
fn an_estimate_only_lowers_a_known_limit_and_keeps_the_count() {
    let count = CountedSize {
        size: INPUT,
        tokens: 3_000,
    };
    for (known_tokens, expected) in [(1_024, 1_024), (4_096, 1_500)] {
        let known = ContextLimit {
            counted: Some(count),
            ..stated_limit(known_tokens)
        };
        let call = RefusedCall {
            input: INPUT,
            max_output_tokens: None,
            known: Some(known),
        };
        let limit = call.evaluate(NONE).limit;
        assert_eq!((limit.tokens, limit.counted), (expected, Some(count)));
    }
}

#[test]
fn a_limit_is_never_below_the_minimum() {
    let call = RefusedCall {
        input: InputSize::default(),
        max_output_tokens: None,
        known: None,
    };
    let excess = ContextTokens {
        excess: Some(5),
        ..NONE
    };
    for stated in [NONE, excess] {
        assert_eq!(call.evaluate(stated).limit.tokens, 256);
    }
}
