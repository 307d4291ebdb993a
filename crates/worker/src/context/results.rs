//! Which calls of a session wait for their results, and which results no call waits for.

use forebay_shared::turn::{Role, Turn};

/// The ids of those calls of the session's last reply that have no result yet, neither in the session nor in the input.
pub(crate) fn missing<'a>(session: &'a [Turn], input: &[Turn]) -> Vec<&'a str> {
    let Some(last_reply) = session.iter().rposition(|turn| turn.role != Role::Tool) else {
        return Vec::new();
    };
    let has_result = |id: &str| {
        let mut results = session[last_reply..].iter().chain(input);
        results.any(|turn| turn.tool_call_id.as_deref() == Some(id))
    };
    let calls = session[last_reply].tool_calls.iter();
    calls
        .map(|call| call.id.as_str())
        .filter(|id| !has_result(id))
        .collect()
}

/// The id of the first result in the input that no call waits for. The session may have a result for its call already, or
/// may not have the call.
pub(crate) fn unexpected<'a>(session: &'a [Turn], input: &'a [Turn]) -> Option<&'a str> {
    let mut open_calls: Vec<&str> = Vec::new();
    for (index, turn) in session.iter().chain(input).enumerate() {
        if turn.role == Role::Tool {
            let id = turn.tool_call_id.as_deref().unwrap_or_default();
            match open_calls.iter().position(|call| *call == id) {
                Some(position) => drop(open_calls.remove(position)),
                None if index >= session.len() => return Some(id),
                None => {}
            }
        }
        for call in &turn.tool_calls {
            // A later reply may use an id again. From then on the id belongs to its call.
            open_calls.retain(|open| *open != call.id);
            open_calls.push(&call.id);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::tests::turns, missing, unexpected};

    #[test]
    fn calls_of_the_last_reply_wait_for_results() {
        for (session, input, expected) in [
            ("", "u1", ""),
            ("u1 a1", "rx", ""),
            ("u1 cxy", "rx", "y"),
            ("u1 cxyz", "ry", "x z"),
            ("u1 cxy rx", "ry", ""),
            ("u1 cxyz rx", "ry", "z"),
            ("u1 cxy", "rx ry", ""),
            // The session has gone on without the result.
            ("u1 cxy rx ny a1", "ry", ""),
            // Another reply uses the id again.
            ("u1 cxy rx ry cxy", "rx", "y"),
        ] {
            let (session, input) = (turns(session), turns(input));
            assert_eq!(missing(&session, &input).join(" "), expected);
        }
    }

    #[test]
    fn results_without_a_waiting_call_are_found() {
        for (session, input, expected) in [
            ("", "u1", None),
            ("u1 cxy", "rx", None),
            ("u1 cxy rx", "ry", None),
            ("u1 cx u2", "rx", None),
            ("u1", "cx rx u2", None),
            ("u1 cx rx cx", "rx", None),
            ("", "rx", Some("x")),
            ("u1 a1", "rz", Some("z")),
            ("u1 cxy", "rx rx", Some("x")),
            ("u1 cxy rx", "rx ry", Some("x")),
            ("u1 cxy rx ny a1", "ry", Some("y")),
            ("u1 cx rx a1", "u2 rx", Some("x")),
        ] {
            let (session, input) = (turns(session), turns(input));
            assert_eq!(unexpected(&session, &input), expected);
        }
    }
}
