//! The messages of a request, in a form that strict servers accept.
//!
//! A tool call and its result have the same id. These ids are replaced, because the service may refuse them:
//!
//! - ids in a form that the service does not accept;
//! - ids that another provider returned;
//! - ids that an older release generated.

use std::collections::HashMap;

use forebay_shared::turn::Turn;
use serde_json::{Value, json};

use super::{
    dialect::{Dialect, SystemMessages},
    message, system,
};
use crate::provider::{
    Call, Failure, origin,
    tool_call_id::{self, ToolCallIdForm},
};

/// The instructions and the turns of a call as messages to `provider`.
///
/// # Errors
/// `invalid_request` when a turn has no JSON form.
pub(super) fn write(call: &Call<'_>, dialect: Dialect, provider: &str) -> Result<Value, Failure> {
    let mut messages = Vec::with_capacity(call.turns.len() + 1);
    if let Some(instructions) = &call.request.instructions {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    let mut sent_ids: HashMap<&str, String> = HashMap::new();
    for turn in call.turns {
        let form = id_form(turn, dialect, provider);
        let sent_id = |id: &str| {
            let form = if tool_call_id::is_generated(id) {
                ToolCallIdForm::NineCharacters
            } else {
                form
            };
            form.apply(id)
        };
        let mut message = message::write(turn, dialect, provider)?;
        for (index, tool_call) in turn.tool_calls.iter().enumerate() {
            let id = sent_id(&tool_call.id);
            message["tool_calls"][index]["id"] = id.as_str().into();
            sent_ids.insert(&tool_call.id, id);
        }
        if let Some(id) = &turn.tool_call_id {
            let sent = sent_ids.get(id.as_str()).cloned();
            message["tool_call_id"] = sent.unwrap_or_else(|| sent_id(id)).into();
        }
        messages.push(message);
    }
    Ok(match dialect.system_messages {
        SystemMessages::Any => messages.into(),
        SystemMessages::OneFirst => system::join_at_beginning(messages).into(),
    })
}

/// The form of the ids in a turn. An id of another provider gets the form that every service accepts.
fn id_form(turn: &Turn, dialect: Dialect, provider: &str) -> ToolCallIdForm {
    match origin::provider_of(turn) {
        Some(other) if other != provider => ToolCallIdForm::NineCharacters,
        _ => dialect.tool_call_ids,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_shared::{
        job::Request,
        turn::{Role, Turn},
    };
    use serde_json::{Value, json};

    use super::write;
    use crate::provider::{Call, openai::dialect::Dialect, tool_call_id::ToolCallIdForm};

    fn messages(turns: &Value, dialect: Dialect) -> Value {
        let turns: Vec<Turn> = serde_json::from_value(turns.clone()).expect("turns");
        let request = Request::default();
        let call = Call {
            model: "m",
            request: &request,
            turns: &turns,
            timeout: Duration::from_secs(1),
            trace: None,
        };
        write(&call, dialect, "a").expect("the turns can be sent")
    }

    fn tool_turns(id: &str, origin: Option<&str>) -> Value {
        let call =
            json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let mut reply = json!({"role": "assistant", "tool_calls": [call]});
        if let Some(origin) = origin {
            reply["extra_content"] = json!({"forebay": {"provider": origin}});
        }
        json!([
            {"role": "user", "content": "go"},
            reply,
            {"role": "tool", "tool_call_id": id, "content": "42"}
        ])
    }

    /// The id that is sent with the call and with the result.
    fn sent_id(turns: &Value, dialect: Dialect) -> String {
        let sent = messages(turns, dialect);
        let id = &sent[1]["tool_calls"][0]["id"];
        assert_eq!(id, &sent[2]["tool_call_id"], "{sent}");
        assert!(!sent.to_string().contains("forebay"), "{sent}");
        id.as_str().expect("an id").to_owned()
    }

    #[test]
    fn an_empty_tool_result_is_sent() {
        let mut turns = tool_turns("1", None);
        turns[2]["content"] = "".into();
        assert_eq!(messages(&turns, Dialect::COMPATIBLE)[2]["content"], "");
    }

    #[test]
    fn ids_of_the_provider_and_of_clients_are_sent_unchanged() {
        for origin in [None, Some("a")] {
            for id in ["call_1", "functions.f:0", "7"] {
                assert_eq!(sent_id(&tool_turns(id, origin), Dialect::COMPATIBLE), id);
            }
        }
    }

    #[test]
    fn ids_of_other_providers_and_ids_in_other_forms_are_replaced() {
        let mistral = Dialect {
            tool_call_ids: ToolCallIdForm::NineCharacters,
            ..Dialect::COMPATIBLE
        };
        let long = "c".repeat(41);
        for (id, origin, dialect) in [
            ("call_1", Some("b"), Dialect::COMPATIBLE),
            ("call_1", Some("b"), Dialect::OPENAI),
            (long.as_str(), Some("a"), Dialect::OPENAI),
            ("call_1", None, mistral),
            ("call_fb_00000000000000ff_0", None, Dialect::COMPATIBLE),
            ("call_fb_00000000000000ff_0", Some("a"), Dialect::OPENAI),
            ("7", Some("a"), mistral),
        ] {
            let sent = sent_id(&tool_turns(id, origin), dialect);
            assert_eq!(sent.len(), 9, "{sent}");
            assert!(sent.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        let own = sent_id(&tool_turns("Ab3Ab3Ab3", Some("a")), mistral);
        assert_eq!(own, "Ab3Ab3Ab3");
    }

    #[test]
    fn the_id_of_a_result_without_a_call_gets_a_form_that_the_service_accepts() {
        let result = Turn {
            tool_call_id: Some("c".repeat(41)),
            ..Turn::text(Role::Tool, "42")
        };
        let turns = serde_json::to_value([result]).expect("JSON");
        let sent = messages(&turns, Dialect::OPENAI);
        let id = sent[0]["tool_call_id"].as_str().expect("an id");
        assert_eq!(id.len(), 9);
    }
}
