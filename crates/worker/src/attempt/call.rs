//! The call: what is sent is chosen, the provider is asked, and the call stops when nobody waits for it any
//! more.

use std::time::Duration;

use forebay_shared::{job::JobError, store::Work};
use tokio::time::Instant;

use super::{
    Attempt, Desk,
    ask::{Answered, Ask},
    watch::{Limits, watch},
};
use crate::{
    context,
    provider::{Failure, Retry},
    settings::COMMIT_MARGIN_MS,
    table::Note,
};

/// What a call came to.
pub(super) enum Called {
    /// A reply.
    Answered(Box<Answered>),
    /// None, and why.
    Failed {
        failure: Failure,
        /// Who was asked, if anybody was.
        provider: Option<String>,
    },
    /// Nobody waits for it any more; nothing is to be committed.
    Dropped(&'static str),
    /// The worker shuts down.
    GivenUp,
}

/// Why a call is dropped whose job nobody wants any more.
pub(super) const EXPIRED: &str = "the job has expired";

/// Makes the call of an attempt. To stop it is to drop its future, which closes its connection.
pub(super) async fn call(desk: &Desk, attempt: &Attempt, work: Box<Work>, note: &Note) -> Called {
    let (ask, limits) = match prepare(desk, attempt, work) {
        Ok(prepared) => prepared,
        Err(called) => return called,
    };
    let watch = watch(desk, attempt, note, limits, ask.provider().to_owned());
    tokio::select! {
        biased;
        called = ask.run(limits.call) => called,
        () = desk.give_up.cancelled() => Called::GivenUp,
        called = watch => called,
    }
}

/// What will be asked of whom, and until when.
fn prepare(desk: &Desk, attempt: &Attempt, work: Box<Work>) -> Result<(Box<Ask>, Limits), Called> {
    let Work {
        meta,
        mut request,
        conversation,
    } = *work;
    let selected = context::select(
        conversation.turns,
        std::mem::take(&mut request.input),
        request.context,
        conversation.measure,
    );
    let (provider, model) = match desk.providers.resolve(&meta.model) {
        Ok(found) => found,
        Err(error) => {
            return Err(Called::Failed {
                failure: never(error),
                provider: None,
            });
        }
    };
    let now = desk.member.store.now();
    // The other half of the margin is for a claim whose answer took its time.
    let limit_ms = attempt
        .until
        .since_ms(now)
        .saturating_sub(COMMIT_MARGIN_MS / 2)
        .min(desk.settings.call_timeout_ms);
    let left_ms = attempt.expires_at.since_ms(now);
    if desk.give_up.is_cancelled() {
        return Err(Called::GivenUp);
    }
    if left_ms == 0 {
        return Err(Called::Dropped(EXPIRED));
    }
    let began = Instant::now();
    let limits = Limits {
        call: began + Duration::from_millis(limit_ms.min(left_ms)),
        call_ms: limit_ms,
        expiry: began + Duration::from_millis(left_ms),
    };
    let ask = Ask::new(attempt.job, Box::new(request), selected, provider, model);
    Ok((Box::new(ask), limits))
}

const fn never(error: JobError) -> Failure {
    Failure {
        error,
        retry: Retry::Never,
    }
}
