//! Checks `replace_from_turn` when a job is submitted, so that a wrong number is refused at once. The worker and the commit of the
//! reply check it again, because jobs before this one may change the session.

use forebay_shared::ids::{SessionId, TenantId};

use crate::{problem::Problem, state::ApiState, store_call};

/// Whether the session may have a turn of this number. Of a session that is not small, only its first and its next number are
/// compared.
pub(super) async fn may_exist(
    state: &ApiState,
    tenant: &TenantId,
    session: &SessionId,
    number: u64,
) -> Result<bool, Problem> {
    let ttl_ms = state.settings.session_ttl_ms;
    let read = state.member.store.session_info(tenant, session, ttl_ms);
    let Some(info) = store_call::with_timeout(read).await? else {
        return Ok(false);
    };
    Ok(match &info.turns {
        Some(turns) => turns.iter().any(|turn| turn.number == number),
        None => (info.first_turn..info.next_turn).contains(&number),
    })
}

/// The problem of a submit that replaces a turn that the session does not have.
pub(super) fn no_such_turn(number: u64) -> Problem {
    let message = format!(
        "must be the number of a turn of the session, which has no turn {number}; GET /v1/sessions/{{id}} shows the numbers"
    );
    Problem::invalid_field("replace_from_turn", message)
}
