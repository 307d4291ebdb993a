//! Checks `replace_from_turn` when a job is submitted, so that a wrong number is refused at once. The worker and the commit of the
//! reply check it again, because earlier jobs may change the session. A retry checks that the session has the same turns as
//! at the submit.

use forebay_shared::{
    document::UnknownFields,
    ids::{SessionId, TenantId},
    job::{JobMeta, ReplacedTurns},
    session::SessionInfo,
};

use crate::{
    problem::Problem, problem_code::ProblemCode, state::ApiState, store_call,
    validation::Submission,
};

/// The turns that a submit replaces; `None` if it replaces none.
///
/// # Errors
/// The session has no turn with this number.
pub(super) async fn of_submit(
    state: &ApiState,
    tenant: &TenantId,
    submission: &Submission,
) -> Result<Option<ReplacedTurns>, Problem> {
    let (Some(number), Some(session)) = (submission.request.replace_from_turn, &submission.session)
    else {
        return Ok(None);
    };
    let info = info(state, tenant, session).await?;
    let info = info.filter(|info| may_have(info, number));
    info.map(|info| Some(replaced(&info, number))).ok_or_else(|| {
        let message = format!(
            "must be the number of a turn of the session, which has no turn {number}; GET /v1/sessions/{{id}} shows the numbers"
        );
        Problem::invalid_field("replace_from_turn", message)
    })
}

/// If the job replaces turns, checks that its session has the same turns as at the submit.
pub(super) async fn check_retry(state: &ApiState, meta: &JobMeta) -> Result<(), Problem> {
    let (Some(replaces), Some(session)) = (&meta.replaces, &meta.session) else {
        return Ok(());
    };
    let info = info(state, &meta.tenant, session).await?;
    let is_same = |info: SessionInfo| {
        info.created_at == replaces.session_created_at
            && info.next_turn == replaces.next_turn
            && may_have(&info, replaces.from_turn)
    };
    if info.is_some_and(is_same) {
        return Ok(());
    }
    let detail = "the job replaces turns, and the turns of its session have changed since the submit; submit it again";
    Err(Problem::new(ProblemCode::SessionChanged, detail))
}

async fn info(
    state: &ApiState,
    tenant: &TenantId,
    session: &SessionId,
) -> Result<Option<SessionInfo>, Problem> {
    let ttl_ms = state.settings.session_ttl_ms;
    let read = state.member.store.session_info(tenant, session, ttl_ms);
    store_call::with_timeout(read).await
}

/// Whether the session may have a turn of this number. If the turns were not read because they are large, only the range of
/// their numbers is checked.
fn may_have(info: &SessionInfo, number: u64) -> bool {
    match &info.turns {
        Some(turns) => turns.iter().any(|turn| turn.number == number),
        None => (info.first_turn..info.next_turn).contains(&number),
    }
}

const fn replaced(info: &SessionInfo, from_turn: u64) -> ReplacedTurns {
    ReplacedTurns {
        session_created_at: info.created_at,
        from_turn,
        next_turn: info.next_turn,
        unknown: UnknownFields::NONE,
    }
}
