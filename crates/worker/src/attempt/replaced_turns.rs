//! Leaves out the turns of the session that a job replaces (`replace_from_turn`).
//!
//! The commit of the reply removes them from the session. Until then they stay, so an attempt that fails changes nothing.

use forebay_shared::{
    store::RunInputs,
    turn::{Role, Turn},
};

use super::call_outcome::CallOutcome;
use crate::provider::{Failure, Retry};

/// Removes the turns to replace from the run inputs.
///
/// # Errors
/// The outcome of the job if its session has no turn `replace_from_turn`, or if nothing is left that the model could answer.
pub(super) fn leave_out(run_inputs: &mut RunInputs) -> Result<(), CallOutcome> {
    let Some(number) = run_inputs.request.replace_from_turn else {
        return Ok(());
    };
    let conversation = &mut run_inputs.conversation;
    let Ok(index) = conversation.numbers.binary_search(&number) else {
        return Err(failed(turn_gone(number)));
    };
    conversation.turns.truncate(index);
    conversation.numbers.truncate(index);
    let has_input = !run_inputs.request.input.is_empty();
    if !has_input && !is_answerable(&conversation.turns) {
        return Err(failed(Failure::new(
            "nothing_to_answer",
            format!(
                "without an input, the turn before turn {number} must be of the user, or a tool result; send an input, or the \
                 number of a reply as replace_from_turn"
            ),
            Retry::Never,
        )));
    }
    Ok(())
}

/// The failure of a job whose session has no turn of this number.
pub(super) fn turn_gone(number: u64) -> Failure {
    Failure::new(
        "turn_not_found",
        format!(
            "the session has no turn {number}: it was replaced, or dropped as one of the oldest; GET /v1/sessions/{{id}} shows the \
             numbers"
        ),
        Retry::Never,
    )
}

/// Whether a model can answer the last turn: it is of the user, or the result of a call that the session still has.
fn is_answerable(turns: &[Turn]) -> bool {
    let Some((last, earlier)) = turns.split_last() else {
        return false;
    };
    let calls = earlier.iter().flat_map(|turn| &turn.tool_calls);
    match last.role {
        Role::User => true,
        Role::Tool => calls
            .map(|call| &call.id)
            .any(|id| last.tool_call_id.as_ref() == Some(id)),
        _ => false,
    }
}

fn failed(failure: Failure) -> CallOutcome {
    CallOutcome::Failed {
        failure: Box::new(failure),
        provider: None,
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        document::UnknownFields,
        turn::{FunctionCall, Role, ToolCall, ToolKind, Turn},
    };

    use super::is_answerable;

    fn call(id: &str) -> Turn {
        let call = ToolCall {
            id: id.to_owned(),
            kind: ToolKind::Function,
            function: FunctionCall::default(),
            extra_content: None,
            unknown: UnknownFields::NONE,
        };
        Turn {
            tool_calls: vec![call],
            ..Turn::empty(Role::Assistant)
        }
    }

    fn result(id: &str) -> Turn {
        Turn {
            tool_call_id: Some(id.to_owned()),
            ..Turn::text(Role::Tool, "42")
        }
    }

    #[test]
    fn a_model_answers_a_user_and_the_result_of_a_call() {
        let user = || Turn::text(Role::User, "a");
        for (turns, expected) in [
            (vec![], false),
            (vec![user()], true),
            (vec![Turn::text(Role::System, "s")], false),
            (vec![user(), Turn::text(Role::Assistant, "b")], false),
            (vec![user(), call("x"), result("x")], true),
            (vec![call("x"), result("x")], true),
            // The call was dropped as one of the oldest turns.
            (vec![result("x")], false),
            (vec![call("y"), result("x")], false),
        ] {
            assert_eq!(is_answerable(&turns), expected, "{turns:?}");
        }
    }
}
