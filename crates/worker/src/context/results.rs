//! Compares the results in a job's input with the calls of its session: which results are new, and which calls still have
//! none.

use std::collections::{HashMap, HashSet};

use forebay_shared::turn::{Role, Turn};

/// Removes from the input the results that the session already has. A client may send all results that it has so far, also
/// those that it has sent before. Returns the ids of the calls that still have no result.
///
/// Only the calls of the session's last reply wait for results. Results for earlier replies are not accepted.
///
/// # Errors
/// The id of the first result that no call waits for. Nothing is removed then. A result that the session already has is an
/// error only if the input has no new result.
pub(crate) fn keep_new(session: &[Turn], input: &mut Vec<Turn>) -> Result<Vec<String>, String> {
    if input.iter().all(|turn| turn.role != Role::Tool) {
        return Ok(Vec::new());
    }
    let last_reply = session
        .iter()
        .rposition(|turn| turn.role == Role::Assistant);
    let after_reply = last_reply.map_or(&[][..], |index| &session[index..]);
    let stored_ids = result_ids(after_reply);
    let stored: HashSet<&str> = stored_ids.clone().collect();
    // How many calls with each id have no result. A reply may use an id for several calls.
    let mut open: HashMap<&str, usize> = HashMap::new();
    let calls = after_reply.first().map_or(&[][..], |turn| &turn.tool_calls);
    for call in calls {
        *open.entry(&call.id).or_default() += 1;
    }
    for id in stored_ids {
        close_call(&mut open, id);
    }
    let mut repeated = Vec::new();
    let mut has_new_result = false;
    for (index, turn) in input.iter().enumerate() {
        if turn.role == Role::Tool {
            let id = id_of(turn);
            if close_call(&mut open, id) {
                has_new_result = true;
            } else if stored.contains(id) {
                repeated.push(index);
            } else {
                return Err(id.to_owned());
            }
        }
        // A reply in the input may use an id again. From then on, the id means the calls of that reply.
        for call in &turn.tool_calls {
            open.remove(call.id.as_str());
        }
        for call in &turn.tool_calls {
            *open.entry(&call.id).or_default() += 1;
        }
    }
    if let (Some(first), false) = (repeated.first(), has_new_result) {
        return Err(id_of(&input[*first]).to_owned());
    }
    let mut missing: Vec<String> = Vec::new();
    for call in calls {
        if close_call(&mut open, &call.id) {
            missing.push(call.id.clone());
        }
    }
    for index in repeated.into_iter().rev() {
        input.remove(index);
    }
    Ok(missing)
}

/// The ids of the results in these turns.
fn result_ids(turns: &[Turn]) -> impl Iterator<Item = &str> + Clone {
    let results = turns.iter().filter(|turn| turn.role == Role::Tool);
    results.map(id_of)
}

fn id_of(result: &Turn) -> &str {
    result.tool_call_id.as_deref().unwrap_or_default()
}

/// Counts one call with this id as answered. Returns whether there was an open one.
fn close_call(open: &mut HashMap<&str, usize>, id: &str) -> bool {
    match open.get_mut(id) {
        Some(calls) if *calls > 0 => {
            *calls -= 1;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::turns, keep_new};

    #[test]
    fn calls_of_the_last_reply_wait_for_results() {
        for (session, input, expected) in [
            ("", "u1", ""),
            ("u1 cxy", "rx", "y"),
            ("u1 cxyz", "ry", "x z"),
            ("u1 cxy rx", "ry", ""),
            ("u1 cxyz rx", "ry", "z"),
            ("u1 cxy", "rx ry", ""),
            // Another reply uses the id again.
            ("u1 cxy rx ry cxy", "rx", "y"),
            // A job was interrupted before the results came. The session keeps its message.
            ("u1 cxy u2", "ry", "x"),
            // A reply uses an id for two calls.
            ("u1 cxx", "rx", "x"),
            ("u1 cxx rx", "rx", ""),
        ] {
            let (session, mut input) = (turns(session), turns(input));
            let missing = keep_new(&session, &mut input).expect("the results should be accepted");
            assert_eq!(missing.join(" "), expected);
        }
    }

    #[test]
    fn a_result_that_no_call_waits_for_is_an_error() {
        for (session, input, expected) in [
            ("", "u1", None),
            ("u1 cxy", "rx", None),
            ("u1 cxy rx", "ry", None),
            ("u1 cx u2", "rx", None),
            ("u1", "cx rx u2", None),
            ("u1 cx rx cx", "rx", None),
            ("u1", "cx rx cx rx", None),
            ("u1 cxx", "rx rx", None),
            ("", "rx", Some("x")),
            ("u1 a1", "rz", Some("z")),
            ("u1 cxy", "rx rx", Some("x")),
            ("u1 cxy", "rx rq", Some("q")),
            ("u1 cxy rx", "rx", Some("x")),
            ("u1 cxy rx ny a1", "ry", Some("y")),
            ("u1 cx rx a1", "u2 rx", Some("x")),
            // The session has continued without the results, after a job was interrupted.
            ("u1 cxy u2 u3 a1", "rx", Some("x")),
            ("u1 cxy u2 nx ny u3 a1", "rx", Some("x")),
            ("u1 cxy u2 cz", "rx rz", Some("x")),
        ] {
            let (session, mut input) = (turns(session), turns(input));
            let before = input.clone();
            let unexpected = keep_new(&session, &mut input).err();
            assert_eq!(unexpected.as_deref(), expected, "{session:?}");
            assert_eq!(input, before);
        }
    }

    #[test]
    fn results_that_the_session_already_has_are_removed_if_there_are_new_ones() {
        for (session, input, kept, missing) in [
            ("u1 cxy rx", "rx ry", "ry", ""),
            ("u1 cxyz rx", "ry rx", "ry", "z"),
            ("u1 cxyz rx ry", "rx ry rz", "rz", ""),
            ("u1 cxx rx", "rx rx", "rx", ""),
        ] {
            let (session, mut input) = (turns(session), turns(input));
            let still_missing = keep_new(&session, &mut input);
            assert_eq!(input, turns(kept));
            assert_eq!(
                still_missing
                    .expect("the new result should be accepted")
                    .join(" "),
                missing
            );
        }
    }
}
