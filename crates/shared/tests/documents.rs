//! A read and a write of a stored document change nothing in it. That includes unknown fields in any of its objects,
//! and words and kinds that this release does not know.

use forebay_shared::{
    document::{self, Document, ReadError},
    job::{JobMeta, Outcome, Request},
    lane::Lane,
    store::IdempotencyEntry,
    turn::Turn,
};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The fields that may hold any JSON. An unknown field inside them would prove nothing.
const ANY_JSON: [&str; 6] = [
    "metadata",
    "parameters",
    "schema",
    "extra_content",
    "extra_body",
    "entry",
];

fn turns() -> Value {
    json!([
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "Hi.", "extra_content": {"a": 1}},
            {"type": "image_url", "image_url": {"url": "https://x.example", "detail": "low"}},
        ]},
        {"role": "assistant", "extra_content": {"b": 2}, "tool_calls": [{
            "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"c": 3},
        }]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ])
}

fn error() -> Value {
    json!({"code": "c", "message": "m", "detail": "d"})
}

fn attempts() -> Value {
    json!([
        {"n": 1, "worker": "w", "started_at": 1, "ended_at": 2, "error": error()},
        {"n": 2, "worker": "w", "started_at": 1, "ended_at": null, "error": null},
    ])
}

fn lane() -> Value {
    let entry = |state: Value| {
        json!({
            "job": "job_fb01a2142e2ff7667a899ff9f941495845", "class": "batch", "fence": 3, "settled": 2,
            "state": state, "deadline": 9, "tool_results": false, "claimed": true, "tries": 1,
            "takeovers": 0, "admitted_at": 1, "started_at": 2, "attempts": attempts(),
        })
    };
    let running = entry(json!({"running": {"worker": "w", "until": 5}}));
    let queued = entry(json!({"queued": {"not_before": 5}}));
    json!({"v": 1, "entries": [running, queued], "hold_until": 7})
}

fn meta() -> Value {
    json!({
        "v": 1, "id": "job_fb01a2142e2ff7667a899ff9f941495845", "tenant": "default", "session": "s",
        "model": "m", "class": "interactive", "created_at": 1, "expires_at": 2, "metadata": {"k": "v"},
        "keep_until": 3, "traceparent": "00-1-2-01",
    })
}

fn request() -> Value {
    let function = json!({"name": "f", "description": "d", "parameters": {"a": 1}, "strict": true});
    json!({
        "v": 1, "input": turns(), "instructions": "i",
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "description": "d", "schema": {"a": 1}, "strict": false,
        }},
        "reasoning_effort": "low", "temperature": 0.5, "top_p": 1.0, "stop": ["a"], "max_output_tokens": 5,
        "context": {"max_turns": 1, "max_input_tokens": 2}, "tool_wait_s": 60, "extra_body": {"seed": 1},
    })
}

fn outcome() -> Value {
    json!({
        "v": 1, "status": "completed", "started_at": 1, "ended_at": 2, "fence": 3, "settled": 3,
        "attempts": attempts(), "error": error(), "provider": "p", "entry": {"new": 1},
        "reply": {
            "text": "t", "reasoning": "r", "tool_calls": turns()[1]["tool_calls"], "finish_reason": "stop",
            "usage": {
                "input_tokens": 1, "output_tokens": 2, "total_tokens": 3,
                "cached_input_tokens": 1, "reasoning_tokens": 2,
            },
            "turns_sent": 1, "turns_dropped": 0,
        },
    })
}

fn idempotency_key() -> Value {
    json!({
        "v": 1, "job": "job_fb01a2142e2ff7667a899ff9f941495845", "body_sha256": "00", "created_at": 1,
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Adds unknown fields to objects of a document. The key of a value in `fields` is the number of the object that gets the
/// value. The objects are counted from 1 in the order of the recursion.
fn add_unknown_fields(
    document: &mut Value,
    fields: &mut Map<String, Value>,
    object_number: &mut usize,
) {
    match document {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                match (name.as_str(), value) {
                    // A state is stored as `{"queued": {…}}`. Only the inner object may have unknown fields.
                    ("state", Value::Object(state)) => {
                        for value in state.values_mut() {
                            add_unknown_fields(value, fields, object_number);
                        }
                    }
                    (name, value) if !ANY_JSON.contains(&name) => {
                        add_unknown_fields(value, fields, object_number);
                    }
                    _ => {}
                }
            }
            *object_number += 1;
            if let Some(value) = fields.remove(&object_number.to_string()) {
                object.insert(format!("unknown_{object_number}"), value);
            }
        }
        Value::Array(items) => {
            for item in items {
                add_unknown_fields(item, fields, object_number);
            }
        }
        _ => {}
    }
}

/// Asserts that a read and a write keep the document, and that a read of a newer version of it is refused.
fn assert_unchanged<T: Document + Serialize>(document: &Value) {
    assert_eq!(rewritten::<T>(&document.to_string()), *document);
    let mut newer = document.clone();
    newer["v"] = json!(T::KNOWN.0 + 1);
    let refused = document::read::<T>(newer.to_string().as_bytes()).err();
    assert!(
        matches!(refused, Some(ReadError::Newer(_))),
        "the newer version was not refused as newer: {refused:?}"
    );
}

/// Calls [`assert_unchanged`] for a document of each kind, after `change` has changed the document.
fn assert_all_unchanged(change: impl Fn(Value) -> Value) {
    assert_unchanged::<Lane>(&change(lane()));
    assert_unchanged::<JobMeta>(&change(meta()));
    assert_unchanged::<Request>(&change(request()));
    assert_unchanged::<Outcome>(&change(outcome()));
    assert_unchanged::<IdempotencyEntry>(&change(idempotency_key()));
    for turn in turns().as_array().expect("the value is an array") {
        assert_unchanged::<Turn>(&change(turn.clone()));
    }
}

#[test]
fn documents_are_written_as_they_were_read() {
    assert_all_unchanged(|document| document);
}

proptest! {
    #[test]
    fn unknown_fields_in_any_object_are_kept(
        fields in prop::collection::hash_map(1_usize..24, any_json(), 0..12),
    ) {
        assert_all_unchanged(|mut document| {
            let fields = fields.iter();
            let mut fields = fields
                .map(|(object_number, value)| (object_number.to_string(), value.clone()))
                .collect();
            add_unknown_fields(&mut document, &mut fields, &mut 0);
            document
        });
    }
}

#[test]
fn unknown_words_and_kinds_are_kept() {
    for (path, value) in [
        ("/input/0/role", json!("narrator")),
        (
            "/input/0/content/0",
            json!({"type": "audio", "audio": {"data": "x"}}),
        ),
        (
            "/input/1/tool_calls/0",
            json!({"id": "1", "type": "custom", "custom": {"name": "n"}}),
        ),
        (
            "/tools/0",
            json!({"type": "search", "search": {"depth": 2}}),
        ),
        ("/tool_choice", json!("sometimes")),
        (
            "/tool_choice",
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}),
        ),
        (
            "/response_format",
            json!({"type": "grammar", "grammar": "x"}),
        ),
        ("/response_format", json!({"type": "text", "new": 1})),
        ("/reasoning_effort", json!("utmost")),
    ] {
        let mut changed = request();
        *changed
            .pointer_mut(path)
            .expect("the request has this field") = value;
        assert_unchanged::<Request>(&changed);
    }
    let mut changed = outcome();
    changed["reply"]["finish_reason"] = json!("paused");
    assert_unchanged::<Outcome>(&changed);
}

#[test]
fn documents_without_a_version_have_the_first_version() {
    for mut document in [lane(), meta(), request(), outcome(), idempotency_key()] {
        let expected = document.clone();
        document
            .as_object_mut()
            .expect("a document is an object")
            .remove("v");
        let text = document.to_string();
        let written = match expected {
            _ if document.get("entries").is_some() => rewritten::<Lane>(&text),
            _ if document.get("tenant").is_some() => rewritten::<JobMeta>(&text),
            _ if document.get("input").is_some() => rewritten::<Request>(&text),
            _ if document.get("status").is_some() => rewritten::<Outcome>(&text),
            _ => rewritten::<IdempotencyEntry>(&text),
        };
        assert_eq!(written, expected);
    }
}

/// The document after a read and a write.
fn rewritten<T: Document + Serialize>(text: &str) -> Value {
    let read: T = document::read(text.as_bytes()).expect("the document is valid");
    serde_json::to_value(read).expect("a document is valid JSON")
}
