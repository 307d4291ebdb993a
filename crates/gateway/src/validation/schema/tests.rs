//! Tests of the sentences about invalid fields, and of bodies with many faults. `tests/api/openapi/body_bounds.rs` tests every
//! bound of the published schema.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    super::field_errors::FieldErrors, NEW_KEY, SESSION, SESSION_FORK, SESSION_PATCH, SUBMIT,
    compile::Node,
};
use crate::problem::FieldError;

fn faults(body: &Value) -> Vec<(String, String)> {
    let mut errors = FieldErrors::default();
    SUBMIT.check(body, &mut errors);
    let problem = errors.into_result().expect_err("the body has a fault");
    let pair = |error: &FieldError| (error.field.clone(), error.message.clone());
    problem.errors().iter().map(pair).collect()
}

#[test]
fn a_sentence_states_the_range_the_unit_or_the_words() {
    for (name, value, sentence) in [
        (
            "input",
            json!(""),
            "must be a non-empty string or an array of 1 to 200 messages",
        ),
        (
            "model",
            json!(" x"),
            "must be a string of 1 to 200 printable ASCII characters without a space at either end",
        ),
        (
            "session_id",
            json!("."),
            "must be a string of 1 to 200 bytes of UTF-8 without control characters, and not . or ..",
        ),
        ("instructions", json!(""), "must be a non-empty string"),
        ("tools", json!(1), "must be an array of 0 to 128 elements"),
        (
            "tool_choice",
            json!("x"),
            r#"must be none, auto, required, or {"type": "function", "function": {"name": NAME}}"#,
        ),
        ("response_format", json!("x"), "must be an object"),
        (
            "reasoning_effort",
            json!("x"),
            "must be one of none, minimal, low, medium, high, xhigh",
        ),
        ("temperature", json!(3), "must be a number from 0 to 2"),
        ("top_p", json!(0), "must be a number over 0 and at most 1"),
        (
            "stop",
            json!([]),
            "must be a non-empty string or an array of 1 to 4 elements",
        ),
        (
            "max_output_tokens",
            json!(1.5),
            "must be a whole number from 1 to 1000000",
        ),
        (
            "tool_wait_s",
            json!(3_601),
            "must be a whole number of seconds from 0 to 3600",
        ),
        (
            "expires_in_s",
            json!(0),
            "must be a whole number of seconds from 1 to 604800",
        ),
        ("priority", json!("x"), "must be one of interactive, batch"),
        (
            "if_busy",
            json!(1),
            "must be one of enqueue, reject, rollback, interrupt",
        ),
        (
            "metadata",
            json!([]),
            "must be an object of at most 16 keys",
        ),
        (
            "messages",
            json!([]),
            "is named input here; input accepts the same messages",
        ),
        ("Model", json!("x"), "is an unknown field; write model"),
        ("extra_body", json!(1), "must be an object"),
    ] {
        let mut body = json!({"input": "Hi."});
        body[name] = value;
        assert_eq!(faults(&body), [(name.to_owned(), sentence.to_owned())]);
    }
}

#[test]
fn a_part_is_checked_by_its_type() {
    let part = |part: Value| faults(&json!({"input": [{"role": "user", "content": [part]}]}));
    for (value, field, sentence) in [
        (json!({}), "type", "is required"),
        (
            json!({"type": "audio"}),
            "type",
            "must be one of text, output_text, refusal, image_url",
        ),
        (json!({"type": "text"}), "text", "is required"),
        (
            json!({"type": "text", "text": "x", "y": 1}),
            "y",
            "is an unknown field; the fields are type, text, extra_content",
        ),
    ] {
        let field = format!("input[0].content[0].{field}");
        assert_eq!(part(value), [(field, sentence.to_owned())]);
    }
}

#[test]
fn all_faults_are_in_one_answer() {
    let body =
        json!({"input": [{"role": "x"}, {"content": 1}], "temperature": 3, "top_p": "1", "x": 1});
    let fields: Vec<String> = faults(&body).into_iter().map(|(field, _)| field).collect();
    let expected = [
        "input[0].role",
        "input[1].role",
        "input[1].content",
        "temperature",
        "top_p",
        "x",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn a_body_with_a_million_faults_is_checked_quickly() {
    let numbers = Value::Array(vec![json!(1); 1_000_000]);
    let tools =
        json!({"input": numbers, "tools": numbers, "stop": numbers, "metadata": {"k": numbers}});
    let started = Instant::now();
    assert_eq!(faults(&tools).len(), 4);
    let named: Value = (0..100_000).map(|n| (format!("k{n}"), json!(1))).collect();
    assert_eq!(faults(&named).len(), 16);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_schema_with_an_unknown_keyword_is_refused() {
    for schema in [&SUBMIT, &NEW_KEY, &SESSION, &SESSION_PATCH, &SESSION_FORK] {
        assert!(Node::compile(schema.published()).is_ok());
    }
    for schema in [
        json!({"contains": {}}),
        json!({"items": {"properties": {"x": {"if": {}}}}}),
        json!({"type": "text"}),
    ] {
        assert!(Node::compile(&schema).is_err(), "{schema}");
    }
}
