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
/// The outcome of a job whose session has no turn of this number, or with nothing that the model could answer.
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
    if !has_input && !conversation.turns.last().is_some_and(is_answerable) {
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

fn is_answerable(turn: &Turn) -> bool {
    matches!(turn.role, Role::User | Role::Tool)
}

fn failed(failure: Failure) -> CallOutcome {
    CallOutcome::Failed {
        failure: Box::new(failure),
        provider: None,
    }
}
