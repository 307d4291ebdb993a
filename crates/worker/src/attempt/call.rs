//! The call: chooses what is sent, asks the provider, and stops when nobody waits for it any more.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use forebay_shared::job::JobError;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep_until};

use super::{Attempt, Desk, lost::lost};
use crate::{
    context::{self, Selected},
    provider::{Answer, Call, Failure, Provider, Retry},
    settings::COMMIT_MARGIN_MS,
    table::Note,
};

/// How long a provider may overrun the limit that it was given before the call is dropped.
const OVERRUN: Duration = Duration::from_secs(1);

/// Why a call is dropped whose job nobody wants any more.
const EXPIRED: &str = "the job has expired";

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

/// A reply, and what it was made of.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) selected: Selected,
    pub(super) provider: String,
}

/// Makes the call of an attempt. To stop it is to drop its future, which closes its connection.
pub(super) async fn call(desk: &Desk, attempt: &mut Attempt, note: &Note) -> Called {
    // What is sent is chosen from it, and only that is kept while the call runs.
    let conversation = std::mem::take(&mut attempt.work.conversation);
    let attempt = &*attempt;
    let selected = context::select(
        &conversation.turns,
        &attempt.work.request.input,
        attempt.work.request.context,
        conversation.measure,
    );
    drop(conversation);
    let meta = &attempt.work.meta;
    let (provider, model) = match desk.providers.resolve(&meta.model) {
        Ok(found) => found,
        Err(error) => return failed(never(error), None),
    };
    let now = desk.member.store.now();
    // The other half of the margin is for a claim whose answer took its time.
    let limit_ms = attempt
        .until
        .since_ms(now)
        .saturating_sub(COMMIT_MARGIN_MS / 2)
        .min(desk.settings.call_timeout_ms);
    let left_ms = meta.expires_at.since_ms(now);
    if desk.give_up.is_cancelled() {
        return Called::GivenUp;
    }
    if left_ms == 0 {
        return Called::Dropped(EXPIRED);
    }
    let began = Instant::now();
    let limit = began + Duration::from_millis(limit_ms.min(left_ms));
    let deadline = began + Duration::from_millis(left_ms);
    let name = provider.name().to_owned();
    tokio::select! {
        biased;
        called = ask(attempt, selected, provider, &model, limit) => called,
        () = desk.give_up.cancelled() => Called::GivenUp,
        () = lost(desk, attempt, note) => Called::Dropped("the job has ended or gone elsewhere"),
        // The sweeper ends the job, as its timer is due.
        () = sleep_until(deadline) => Called::Dropped(EXPIRED),
        () = sleep_until(limit + OVERRUN) => failed(
            Failure::new("provider_timeout", format!("the call was not done within {limit_ms} ms"), Retry::Backoff),
            Some(name),
        ),
    }
}

/// Asks the provider; once more with half the context if it says that this is too long.
async fn ask(
    attempt: &Attempt,
    mut selected: Selected,
    provider: Arc<dyn Provider>,
    model: &str,
    limit: Instant,
) -> Called {
    let work = &attempt.work;
    let name = provider.name().to_owned();
    let mut is_halved = false;
    loop {
        let call = Call {
            model,
            request: &work.request,
            turns: &selected.turns,
            timeout: limit.saturating_duration_since(Instant::now()),
        };
        // A panic here is the failure of one provider at one request, and counts as a try: left to the
        // timer, the job would come again and again, each time after the whole limit.
        let result = AssertUnwindSafe(provider.call(&call)).catch_unwind().await;
        let failure = match result {
            Ok(Ok(answer)) => {
                return Called::Answered(Box::new(Answered {
                    answer,
                    selected,
                    provider: name,
                }));
            }
            Ok(Err(failure)) => failure,
            Err(_panic) => {
                tracing::error!(job_id = %attempt.job, provider = name, "a provider's code panicked");
                Failure::new(
                    "internal_error",
                    "the call failed inside the worker",
                    Retry::Backoff,
                )
            }
        };
        match selected.halve() {
            Some(half) if failure.retry == Retry::LessContext && !is_halved => {
                is_halved = true;
                selected = half;
            }
            _ => return failed(failure, Some(name)),
        }
    }
}

const fn failed(failure: Failure, provider: Option<String>) -> Called {
    Called::Failed { failure, provider }
}

const fn never(error: JobError) -> Failure {
    Failure {
        error,
        retry: Retry::Never,
    }
}
