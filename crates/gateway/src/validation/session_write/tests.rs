//! Tests of what a session and a change of its settings may hold.

use forebay_shared::session::SessionBounds;
use serde_json::{Value, json};

use super::{session_write, settings_patch};

const BOUNDS: SessionBounds = SessionBounds {
    ttl_ms: 1,
    turns_max: 3,
    turns_bytes_max: 1_000,
};

/// The attributes, the other defaults and the default model as they are stored, after a write and a patch.
fn patched(settings: &Value, patch: &Value) -> (Value, Value, Option<String>) {
    let written = session_write(settings.to_string().as_bytes(), &BOUNDS).unwrap();
    let patch = settings_patch(patch.to_string().as_bytes()).unwrap();
    let stored = patch.apply(&written.settings.parse().unwrap()).unwrap();
    let parse = |text: Option<String>| {
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    };
    let mut attributes = parse(stored.attributes);
    (
        attributes["values"].take(),
        parse(stored.defaults),
        stored.model,
    )
}

#[track_caller]
fn refused_fields(result: Result<impl Sized, crate::problem::Problem>) -> Vec<String> {
    let problem = result.err().expect("the body is refused");
    let errors = problem.errors().iter();
    errors.map(|error| error.field.clone()).collect()
}

/// The examples of RFC 7396, appendix A, whose target and result are objects.
#[test]
fn attributes_are_merged_by_the_rules_of_the_standard() {
    for (target, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            json!({"b": "c"}),
        ),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        ),
        (
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        ),
        (
            json!({"x": 1}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"x": 1, "a": {"bb": {}}}),
        ),
    ] {
        let (attributes, ..) = patched(
            &json!({"attributes": target}),
            &json!({"attributes": patch}),
        );
        assert_eq!(attributes, expected, "{target} and {patch}");
    }
    let target = json!({"attributes": {"a": 1}});
    assert_eq!(
        patched(&target, &json!({"attributes": null})).0,
        Value::Null
    );
    assert_eq!(patched(&target, &json!({})).0, json!({"a": 1}));
}

#[test]
fn defaults_are_merged_one_by_one() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let target = json!({"defaults": {
        "model": "m", "instructions": "x", "tools": tools,
        "context": {"max_turns": 3, "max_input_tokens": 9},
    }});
    let (_, defaults, model) = patched(&target, &json!({}));
    let all = json!({
        "v": 1, "instructions": "x", "tools": tools,
        "context": {"max_turns": 3, "max_input_tokens": 9},
    });
    assert_eq!((defaults, model.as_deref()), (all, Some("m")));
    let patch = json!({"defaults": {
        "model": null, "instructions": "y", "context": {"max_turns": 4.0, "max_input_tokens": null},
    }});
    let (_, defaults, model) = patched(&target, &patch);
    let expected =
        json!({"v": 1, "instructions": "y", "tools": tools, "context": {"max_turns": 4}});
    assert_eq!((defaults, model), (expected, None));
    let patch = json!({"defaults": {"tools": null, "instructions": null, "context": null}});
    let (_, defaults, model) = patched(&target, &patch);
    assert_eq!((defaults, model.as_deref()), (Value::Null, Some("m")));
    let (_, defaults, model) = patched(&target, &json!({"defaults": null}));
    assert_eq!((defaults, model), (Value::Null, None));
}

#[test]
fn a_patch_keeps_fields_that_this_release_does_not_know() {
    let stored = forebay_shared::session_settings::StoredSettings {
        attributes: Some(json!({"v": 1, "values": {"a": 1}, "new": 1}).to_string()),
        model: None,
        defaults: Some(
            json!({
                "v": 1,
                "tools": [{"type": "later", "new": 2}],
                "context": {"max_turns": 3, "new": 4},
                "new": 3,
            })
            .to_string(),
        ),
    };
    let patch = json!({"attributes": {"b": 2}, "defaults": {"context": {"max_turns": 5}}});
    let patch = settings_patch(patch.to_string().as_bytes()).unwrap();
    let after = patch.apply(&stored.parse().unwrap()).unwrap();
    let attributes: Value = serde_json::from_str(&after.attributes.unwrap()).unwrap();
    assert_eq!(
        attributes,
        json!({"v": 1, "values": {"a": 1, "b": 2}, "new": 1})
    );
    let defaults: Value = serde_json::from_str(&after.defaults.unwrap()).unwrap();
    assert_eq!(defaults["tools"], json!([{"type": "later", "new": 2}]));
    assert_eq!(defaults["context"], json!({"max_turns": 5, "new": 4}));
    assert_eq!(defaults["new"], 3);
}

#[test]
fn turns_may_have_any_role_and_are_bounded() {
    let write =
        |turns: Value| session_write(json!({"turns": turns}).to_string().as_bytes(), &BOUNDS);
    let user = json!({"role": "user", "content": "x"});
    let result = json!({"role": "tool", "tool_call_id": "1", "content": "y"});
    // Unlike the input of a job, turns may mix tool results with other messages.
    assert_eq!(write(json!([result, user])).unwrap().turns.len(), 2);
    let system = json!({"role": "system", "content": "z"});
    assert_eq!(write(json!([system, user, user])).unwrap().turns.len(), 3);
    assert_eq!(
        refused_fields(write(json!([user, user, user, user]))),
        ["turns"]
    );
    let large = json!({"role": "user", "content": "x".repeat(990)});
    assert_eq!(refused_fields(write(json!([large]))), ["turns"]);
    let wrong = json!([{"role": "tool", "content": "x"}, {"role": "user"}]);
    assert_eq!(
        refused_fields(write(wrong)),
        ["turns[0].tool_call_id", "turns[1].content"]
    );
}

#[test]
fn settings_are_bounded() {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let body = json!({"defaults": {"tools": [tool, tool]}}).to_string();
    let field = ["defaults.tools[1].function.name"];
    assert_eq!(
        refused_fields(session_write(body.as_bytes(), &BOUNDS)),
        field
    );
    assert_eq!(refused_fields(settings_patch(body.as_bytes())), field);
    let body = json!({
        "attributes": {"a": "x".repeat(super::ATTRIBUTES_BYTES_MAX)},
        "defaults": {"instructions": "x".repeat(super::DEFAULTS_BYTES_MAX)},
    });
    let body = body.to_string();
    let fields = ["attributes", "defaults"];
    assert_eq!(
        refused_fields(session_write(body.as_bytes(), &BOUNDS)),
        fields
    );
    let patch = settings_patch(body.as_bytes()).unwrap();
    let empty = forebay_shared::session_settings::SessionSettings::default();
    assert_eq!(refused_fields(patch.apply(&empty)), fields);
    for body in ["{\"turns\": []}", "{\"x\": 1}", "[]", "null"] {
        assert_eq!(
            refused_fields(settings_patch(body.as_bytes())).len(),
            1,
            "{body}"
        );
    }
}

#[test]
fn an_empty_body_is_named() {
    for body in ["", " \n"] {
        let fields = ["body"];
        assert_eq!(
            refused_fields(session_write(body.as_bytes(), &BOUNDS)),
            fields
        );
        assert_eq!(refused_fields(settings_patch(body.as_bytes())), fields);
    }
}
