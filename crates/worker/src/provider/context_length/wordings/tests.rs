//! The texts of real services, as public bug reports quote them.

use proptest::prelude::*;

use super::{super::tokens::ContextTokens, read};

/// A limit and the tokens of the input.
const fn limit_and_input(limit: u64, input: u64) -> ContextTokens {
    ContextTokens {
        limit: Some(limit),
        input: Some(input),
        output: None,
        total: None,
        excess: None,
    }
}

/// These counts, the tokens of the reply, and their sum.
const fn with_reply(counts: ContextTokens, output: u64, total: Option<u64>) -> ContextTokens {
    ContextTokens {
        output: Some(output),
        total,
        ..counts
    }
}

const NO_COUNTS: ContextTokens = ContextTokens {
    limit: None,
    input: None,
    output: None,
    total: None,
    excess: None,
};

const fn limit_only(limit: u64) -> ContextTokens {
    ContextTokens {
        limit: Some(limit),
        ..NO_COUNTS
    }
}

const fn excess_only(excess: u64) -> ContextTokens {
    ContextTokens {
        excess: Some(excess),
        ..NO_COUNTS
    }
}

/// Checks the counts in each message, and the tokens of the input that follow from them.
fn check(rows: &[(&str, ContextTokens, Option<u64>)]) {
    for (message, counts, input_tokens) in rows {
        let stated = read(message);
        assert_eq!(stated, Some(*counts), "{message}");
        let derived = stated.and_then(|stated| stated.input_tokens());
        assert_eq!(derived, *input_tokens, "{message}");
    }
}

#[test]
fn openai() {
    check(&[
        (
            "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 in the completion). Please reduce the length of the messages or completion.",
            with_reply(limit_and_input(4_097, 3_703), 500, Some(4_203)),
            Some(3_703),
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (7000 in the messages, 500 in the functions, and 1500 in the completion). Please reduce the length of the messages, functions, or completion.",
            with_reply(limit_and_input(8_192, 7_000), 1_500, Some(9_000)),
            Some(7_500),
        ),
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 4113 tokens. Please reduce the length of the messages.",
            limit_and_input(4_097, 4_113),
            Some(4_113),
        ),
        (
            "This model's maximum context length is 4097 tokens, however you requested 4322 tokens (4066 in your prompt; 256 for the completion). Please reduce your prompt; or completion length.",
            with_reply(limit_and_input(4_097, 4_066), 256, Some(4_322)),
            Some(4_066),
        ),
        (
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            NO_COUNTS,
            None,
        ),
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 509178 tokens. Please reduce the length of the messages.",
            limit_and_input(272_000, 509_178),
            Some(509_178),
        ),
    ]);
}

#[test]
fn bedrock() {
    check(&[
        ("Input is too long for requested model.", NO_COUNTS, None),
        (
            "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
            limit_and_input(200_000, 200_049),
            Some(200_049),
        ),
        (
            "input length and `max_tokens` exceed context limit: 179413 + 32768 > 200000, decrease input length or `max_tokens` and try again",
            with_reply(limit_and_input(200_000, 179_413), 32_768, None),
            Some(179_413),
        ),
        (
            "Too many input tokens. Max input tokens: 8192, request input token count: 9015 ",
            limit_and_input(8_192, 9_015),
            Some(9_015),
        ),
    ]);
}

#[test]
fn llama_cpp() {
    check(&[
        (
            "request (4476 tokens) exceeds the available context size (4096 tokens), try increasing it",
            limit_and_input(4_096, 4_476),
            Some(4_476),
        ),
        (
            "the request exceeds the available context size. try increasing the context size or enable context shift",
            NO_COUNTS,
            None,
        ),
        ("Context size has been exceeded.", NO_COUNTS, None),
    ]);
}

#[test]
fn llama_cpp_python() {
    check(&[
        (
            "Requested tokens (2285) exceed context window of 2048",
            limit_and_input(2_048, 2_285),
            Some(2_285),
        ),
        (
            "Requested tokens exceed context window of 512",
            limit_only(512),
            None,
        ),
        (
            "This model's maximum context length is 2048 tokens. However, you requested 2285 tokens (2269 in the messages, 16 in the completion). Please reduce the length of the messages or completion.",
            with_reply(limit_and_input(2_048, 2_269), 16, Some(2_285)),
            Some(2_269),
        ),
    ]);
}

#[test]
fn tgi() {
    check(&[
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1244 `inputs` tokens and 1000 `max_new_tokens`",
            with_reply(limit_and_input(2_048, 1_244), 1_000, None),
            Some(1_244),
        ),
        (
            "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168",
            limit_and_input(1_024, 1_168),
            Some(1_168),
        ),
    ]);
}

#[test]
fn litellm_quotes_the_service_that_it_called() {
    check(&[
        (
            r#"litellm.ContextWindowExceededError: AnthropicError - {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 209353 tokens > 199999 maximum"}}"#,
            limit_and_input(199_999, 209_353),
            Some(209_353),
        ),
        (
            r#"litellm.ContextWindowExceededError: OpenAIException - Error code: 400 - {'error': {'message': "This model\'s maximum context length is 32768 tokens. However, your request has 59360 input tokens. Please reduce the length of the input messages."}}. Received Model Group=m"#,
            limit_and_input(32_768, 59_360),
            Some(59_360),
        ),
        (
            r#"litellm.BadRequestError: OpenAIException - {"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens": 14429,"n_ctx":8192}"#,
            limit_and_input(8_192, 14_429),
            Some(14_429),
        ),
        (
            "litellm.ContextWindowExceededError: BedrockException: Context Window Error - {\"message\":\"Input is too long for requested model.\"}",
            NO_COUNTS,
            None,
        ),
    ]);
}

#[test]
fn vllm() {
    check(&[
        (
            "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 in the completion). Please reduce the length of the messages or completion.",
            with_reply(limit_and_input(16_384, 112_946), 10_000, Some(122_946)),
            Some(112_946),
        ),
        (
            "This model's maximum context length is 32768 tokens. However, you requested 32818 tokens in the messages, Please reduce the length of the messages. None",
            ContextTokens {
                total: Some(32_818),
                ..limit_only(32_768)
            },
            Some(32_818),
        ),
        (
            "This model's maximum context length is 65536 tokens. However, your request has 65544 input tokens. Please reduce the length of the input messages.",
            limit_and_input(65_536, 65_544),
            Some(65_544),
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 8192 tokens and your request has 37 input tokens (8192 > 8192 - 37).",
            limit_and_input(8_192, 37),
            Some(37),
        ),
        (
            "You passed 31745 input tokens and requested 1024 output tokens. However, the model's context length is only 32768 tokens, resulting in a maximum input length of 31744 tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=31745)",
            with_reply(limit_and_input(32_768, 31_745), 1_024, None),
            Some(31_745),
        ),
        (
            "This model's maximum context length is 51200 tokens. However, you requested 12054 output tokens and your prompt contains at least 40000 input tokens, for a total of at least 52054 tokens.",
            with_reply(limit_and_input(51_200, 40_000), 12_054, None),
            Some(40_000),
        ),
        (
            "The decoder prompt (length 8825) is longer than the maximum model length of 8192.",
            limit_and_input(8_192, 8_825),
            Some(8_825),
        ),
        (
            "Input length (196905) exceeds model's maximum context length (196608).",
            limit_and_input(196_608, 196_905),
            Some(196_905),
        ),
        (
            "max_tokens must be at least 1, got -186.",
            excess_only(186),
            None,
        ),
    ]);
}

#[test]
fn ollama() {
    check(&[
        (
            "the input length exceeds the context length",
            NO_COUNTS,
            None,
        ),
        (
            "input length exceeds maximum context length",
            NO_COUNTS,
            None,
        ),
        (
            "prompt too long; exceeded max context length by 15935 tokens",
            excess_only(15_935),
            None,
        ),
    ]);
}

#[test]
fn other_services() {
    check(&[
        (
            "This endpoint's maximum context length is 32768 tokens. However, you requested about 42832 tokens (42832 of text input). Please reduce the length of either one.",
            ContextTokens {
                total: Some(42_832),
                ..limit_only(32_768)
            },
            Some(42_832),
        ),
        (
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            limit_and_input(131_072, 537_812),
            Some(537_812),
        ),
        (
            "The input (516368 tokens) is longer than the model's context length (262144 tokens).",
            limit_and_input(262_144, 516_368),
            Some(516_368),
        ),
        (
            "Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 140000 tokens: 130000 tokens from the input messages and 10000 tokens for the completion.",
            with_reply(limit_and_input(131_072, 130_000), 10_000, Some(140_000)),
            Some(130_000),
        ),
        (
            "The prompt is too long: 221782, model maximum context length: 202752",
            limit_and_input(202_752, 221_782),
            Some(221_782),
        ),
        (
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            limit_and_input(32_768, 40_000),
            Some(40_000),
        ),
        (
            "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)",
            limit_and_input(8_192, 9_000),
            Some(9_000),
        ),
        (
            "The input token count (2800010) exceeds the maximum number of tokens allowed (1048575).",
            limit_and_input(1_048_575, 2_800_010),
            Some(2_800_010),
        ),
        (
            "The input token count exceeds the maximum number of tokens allowed (1048576).",
            limit_only(1_048_576),
            None,
        ),
        (
            "Unable to submit request because the input token count is 32771 but model only supports up to 32768. Reduce the input token count and try again.",
            limit_and_input(32_768, 32_771),
            Some(32_771),
        ),
        (
            "Please reduce the length of the messages or completion.",
            NO_COUNTS,
            None,
        ),
    ]);
}

#[test]
fn other_errors_are_not_about_the_context() {
    for message in [
        "",
        "no",
        "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.",
        "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 11226, please reduce your message size and try again.",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "messages[3]: the text is too long",
        "Timeout while waiting for 4096 tokens",
    ] {
        assert_eq!(read(message), None, "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_counts_are_read_within_any_other_text(
        before in "\\PC{0,40}",
        after in "\\PC{0,40}",
        limit in 256_u64..10_000_000,
        input in 1_u64..10_000_000,
    ) {
        let message = format!("{before} request ({input} tokens) exceeds the available context size ({limit} tokens) {after}");
        prop_assert_eq!(read(&message), Some(limit_and_input(limit, input)));
    }

    #[test]
    fn a_refusal_is_recognised_with_any_text_after_it(message in "\\PC{0,80}(maximum context length is|prompt is too long: )[0-9,]{0,30}\\PC{0,20}") {
        prop_assert!(read(&message).is_some());
    }
}
