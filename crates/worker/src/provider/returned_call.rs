//! Converts the tool calls that a provider returned into calls of the session. Each of these has its own id.

use std::collections::HashSet;

use forebay_shared::{
    document::UnknownFields,
    turn::{FunctionCall, ToolCall, ToolKind},
};
use serde_json::Value;

use super::{Failure, Retry};

/// A tool call as a provider returned it.
pub(super) struct ReturnedCall {
    /// The id, if the call has one.
    pub(super) id: Option<String>,
    /// The name of the function, if the call has one.
    pub(super) name: Option<String>,
    /// The arguments as JSON.
    pub(super) arguments: String,
    /// The data that the provider wants back with the call.
    pub(super) extra_content: Option<Value>,
}

/// The calls of a reply.
///
/// A call without an id, or with the id of an earlier call, gets a generated id. The argument of `generate_id` is the index of
/// the call. Some services send an empty call with each reply. So a call without a name is left out if the reply has a text or
/// a call with a name.
///
/// # Errors
/// `invalid_response` for a reply without text in which no call has a name and at least one call lacks the field. If all names
/// are empty texts, the calls are kept.
pub(super) fn complete(
    mut returned: Vec<ReturnedCall>,
    has_text: bool,
    generate_id: impl Fn(usize) -> String,
) -> Result<Vec<ToolCall>, Failure> {
    let has_name = |call: &ReturnedCall| call.name.as_ref().is_some_and(|name| !name.is_empty());
    if has_text || returned.iter().any(has_name) {
        returned.retain(has_name);
    }
    let mut ids = HashSet::new();
    let calls = returned.into_iter().enumerate().map(|(index, call)| {
        let id = call
            .id
            .filter(|id| !id.is_empty() && ids.insert(id.clone()));
        Ok(ToolCall {
            id: id.unwrap_or_else(|| generate_id(index)),
            kind: ToolKind::Function,
            function: FunctionCall {
                name: call.name.ok_or_else(without_name)?,
                arguments: call.arguments,
                unknown: UnknownFields::NONE,
            },
            extra_content: call.extra_content,
            unknown: UnknownFields::NONE,
        })
    });
    calls.collect()
}

fn without_name() -> Failure {
    Failure::new(
        "invalid_response",
        "the provider's answer calls a tool without a name",
        Retry::Backoff,
    )
}

#[cfg(test)]
mod tests {
    use super::{ReturnedCall, complete};

    /// The ids and the names of the calls; `None` for a failure.
    fn completed(
        calls: &[(Option<&str>, Option<&str>)],
        has_text: bool,
    ) -> Option<Vec<(String, String)>> {
        let returned = calls.iter().map(|(id, name)| ReturnedCall {
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: String::from("{}"),
            extra_content: None,
        });
        let calls = complete(returned.collect(), has_text, |index| {
            format!("generated {index}")
        });
        let calls = calls.ok()?.into_iter();
        Some(calls.map(|call| (call.id, call.function.name)).collect())
    }

    #[test]
    fn each_call_gets_an_id_of_its_own() {
        let f = Some("f");
        let calls = completed(
            &[(Some("7"), f), (Some("7"), f), (None, f), (Some(""), f)],
            false,
        );
        let ids: Vec<String> = calls
            .expect("calls")
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids, ["7", "generated 1", "generated 2", "generated 3"]);
    }

    #[test]
    fn calls_without_names_are_left_out_beside_a_text_or_another_call() {
        let good = (Some("c"), Some("f"));
        let kept = Some(vec![("c".to_owned(), "f".to_owned())]);
        for nameless in [(None, None), (None, Some("")), (Some("x"), None)] {
            assert_eq!(completed(&[nameless], true), Some(Vec::new()));
            assert_eq!(completed(&[nameless, good], false), kept);
            assert_eq!(completed(&[good, nameless], true), kept);
        }
        assert_eq!(completed(&[(None, None)], false), None);
        let empty_name = Some(vec![("c".to_owned(), String::new())]);
        assert_eq!(completed(&[(Some("c"), Some(""))], false), empty_name);
    }
}
