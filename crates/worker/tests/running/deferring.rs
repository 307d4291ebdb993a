//! Calls that the provider refuses: the job waits for its provider, spends no try and keeps its position in the session.

use forebay_shared::{
    account::{AccountKey, Phase},
    ids::JobId,
    job::{Outcome, Status},
    lane::State,
};
use forebay_worker::provider::{Failure, Fault, Retry};

use crate::harness::{Fleet, Submit, settings, wait_for, wait_until};

/// The failure of a call that the provider refuses.
pub(crate) fn refused(fault: Fault, retry: Retry) -> Failure {
    Failure::new("planned", "come back later", retry).with_fault(fault)
}

/// A pause that the provider asks for, in milliseconds. It is long enough for a test to act before it ends, even on a busy
/// machine.
const PAUSE_MS: u64 = 4_000;

/// The codes of the errors of all attempts.
fn codes(outcome: &Outcome) -> Vec<Option<&str>> {
    let attempts = outcome.attempts.iter();
    attempts
        .map(|attempt| attempt.error.as_ref().map(|error| error.code.as_str()))
        .collect()
}

impl Fleet {
    /// Waits until a job is deferred, and returns the account that it waits for.
    pub(crate) async fn wait_until_deferred(&self, job: JobId) -> AccountKey {
        wait_for("the job waits for its provider", async {
            loop {
                if let State::Deferred(deferral) = self.entry(job).await.state {
                    return deferral.account;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_refused_call_spends_no_try() {
    let mut settings = settings(1);
    settings.tries_max = 1;
    for (fault, retry) in [
        (Fault::RateLimit, Retry::AfterMs(100)),
        (Fault::RateLimit, Retry::Backoff),
        (Fault::Unavailable, Retry::AfterMs(100)),
        (Fault::Unavailable, Retry::Backoff),
    ] {
        let fleet = Fleet::start(settings);
        let job = fleet.submit(Submit::text("a").session("s")).await;
        fleet.next_call().await.fail(refused(fault, retry));
        let again = fleet.next_call().await;
        assert_eq!(again.texts(), ["a"]);
        again.reply("A");
        let outcome = fleet.outcome(job).await;
        assert_eq!(outcome.status, Status::Completed, "{fault:?} {retry:?}");
        assert_eq!(codes(&outcome), [Some("planned"), None]);
        let attempts = |result| format!("forebay_job_attempts_total{{result=\"{result}\"}}");
        fleet.wait_for_count(&attempts("deferred"), 1).await;
        fleet.wait_for_count(&attempts("completed"), 1).await;
        fleet.wait_for_count(&attempts("retried"), 0).await;
        let deferrals = r#"forebay_deferrals_total{reason="planned"}"#;
        fleet.wait_for_count(deferrals, 1).await;
    }
}

#[tokio::test]
async fn a_job_waits_for_as_long_as_its_provider_refuses_it() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    for n in 0..10 {
        let fault = if n % 2 == 0 {
            Fault::Unavailable
        } else {
            Fault::RateLimit
        };
        let call = fleet.next_call().await;
        call.fail(refused(fault, Retry::AfterMs(20)));
    }
    fleet.next_call().await.reply("A");
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
}

#[tokio::test]
async fn the_provider_is_not_called_before_the_time_that_it_asked_for() {
    let fleet = Fleet::start(settings(2));
    let first = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    call.fail(refused(Fault::RateLimit, Retry::AfterMs(PAUSE_MS)));
    // A rate limit closes the account of the model.
    assert_eq!(
        fleet.wait_until_deferred(first).await,
        AccountKey::of_model("scripted", "m")
    );
    let second = fleet.submit(Submit::text("b")).await;
    fleet.wait_until_deferred(second).await;
    fleet.next_call().await.reply("A");
    fleet.next_call().await.reply("B");
    let outcome = fleet.outcome(first).await;
    let refused_at = outcome.attempts[0].ended_at.expect("the attempt has ended");
    for outcome in [outcome, fleet.outcome(second).await] {
        let last = outcome.attempts.last().expect("there is an attempt");
        let delay_ms = last.started_at.since_ms(refused_at);
        // The refusal is recorded shortly before the attempt ends.
        assert!(delay_ms >= PAUSE_MS - 100, "called after {delay_ms} ms");
    }
    assert_eq!(fleet.outcome(second).await.attempts.len(), 1);
}

#[tokio::test]
async fn one_probe_finds_out_whether_the_provider_answers_again() {
    let fleet = Fleet::start(settings(5));
    let mut jobs = Vec::new();
    for text in ["a", "b", "c", "d", "e"] {
        jobs.push(fleet.submit(Submit::text(text)).await);
    }
    for _ in 0..5 {
        let call = fleet.next_call().await;
        call.fail(refused(Fault::Unavailable, Retry::AfterMs(400)));
    }
    let probe = fleet.next_call().await;
    wait_until("the other jobs wait for the provider", async || {
        let mut deferred = 0;
        for job in &jobs {
            let state = fleet.entry(*job).await.state;
            deferred += usize::from(matches!(state, State::Deferred(_)));
        }
        deferred == 4
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(fleet.call_already_made().await.is_none());
    probe.reply("ok");
    for _ in 0..4 {
        fleet.next_call().await.reply("ok");
    }
    for job in jobs {
        assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    }
}

#[tokio::test]
async fn three_different_jobs_with_server_errors_close_the_account_of_the_provider() {
    let fleet = Fleet::start(settings(3));
    let mut jobs = Vec::new();
    let mut calls = Vec::new();
    for text in ["a", "b", "c"] {
        jobs.push(fleet.submit(Submit::text(text)).await);
        calls.push(fleet.next_call().await);
    }
    let mut retries = Vec::new();
    for call in calls {
        call.fail(refused(Fault::Server, Retry::Backoff));
        if retries.len() < 2 {
            // The job's next try. It ends after the account has closed.
            retries.push(fleet.next_call().await);
        }
    }
    // The account is closed for 250 to 500 ms, and then the third job is the probe. So the test checks only what is true before
    // and during the probe.
    let deferred = r#"forebay_job_attempts_total{result="deferred"}"#;
    fleet.wait_for_count(deferred, 1).await;
    let key = AccountKey::of_provider("scripted");
    let phase = fleet.member.accounts.get(&key).phase;
    assert!(phase != Phase::Open, "{phase:?}");
    assert_eq!(fleet.entry(jobs[2]).await.tries, 0);
    for ((retry, job), deferrals) in retries.into_iter().zip(&jobs).zip(2..) {
        assert_eq!(fleet.entry(*job).await.tries, 1);
        // A failure that finds the account closed spends no try.
        retry.fail(refused(Fault::Server, Retry::Backoff));
        fleet.wait_for_count(deferred, deferrals).await;
        assert_eq!(fleet.entry(*job).await.tries, 1);
    }
    for _ in 0..3 {
        fleet.next_call().await.reply("ok");
    }
    for job in jobs {
        assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    }
}

#[tokio::test]
async fn a_job_that_always_provokes_a_server_error_fails_and_closes_nothing() {
    let fleet = Fleet::start(settings(2));
    let job = fleet.submit(Submit::text("a")).await;
    for _ in 0..3 {
        let call = fleet.next_call().await;
        call.fail(refused(Fault::Server, Retry::Backoff));
    }
    let outcome = fleet.outcome(job).await;
    assert_eq!(outcome.status, Status::Failed);
    assert_eq!(codes(&outcome), [Some("planned"); 3]);
    let next = fleet.submit(Submit::text("b")).await;
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(next).await.attempts.len(), 1);
}

#[tokio::test]
async fn a_call_that_may_have_been_paid_for_spends_a_try_although_the_account_is_closed() {
    let fleet = Fleet::start(settings(2));
    let paid = fleet.submit(Submit::text("paid")).await;
    let paid_call = fleet.next_call().await;
    let free = fleet.submit(Submit::text("free")).await;
    let call = fleet.next_call().await;
    call.fail(refused(Fault::Unavailable, Retry::AfterMs(600_000)));
    fleet.wait_until_deferred(free).await;
    paid_call.fail(Failure::new("provider_timeout", "no", Retry::Backoff));
    // Its next try waits for the provider.
    fleet.wait_until_deferred(paid).await;
    assert_eq!(fleet.entry(paid).await.tries, 1);
    assert_eq!(fleet.entry(free).await.tries, 0);
}

#[tokio::test]
async fn a_job_that_expires_while_it_waits_ends_with_the_code_of_its_providers_error() {
    let fleet = Fleet::start(settings(2));
    let first = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    call.fail(refused(Fault::RateLimit, Retry::AfterMs(600_000)));
    fleet.wait_until_deferred(first).await;
    let mut submit = Submit::text("b");
    // The job must be deferred before it expires, on a busy machine too.
    submit.expires_in_ms = PAUSE_MS;
    let outcome = fleet.outcome(fleet.submit(submit).await).await;
    assert_eq!(outcome.status, Status::Expired);
    let error = outcome.error.expect("there is an error");
    assert_eq!(error.code, "expired");
    // The provider's message is about the call of another job.
    assert!(
        error.message.ends_with("at present (planned)"),
        "{}",
        error.message
    );
    assert!(outcome.attempts.is_empty(), "the provider was called");
}

#[tokio::test]
async fn a_session_keeps_its_order_and_other_providers_are_called() {
    let fleet = Fleet::start(settings(1));
    let first = fleet.submit(Submit::text("a").session("s")).await;
    let call = fleet.next_call().await;
    let second = fleet.submit(Submit::text("b").session("s")).await;
    call.fail(refused(Fault::Unavailable, Retry::AfterMs(PAUSE_MS)));
    fleet.wait_until_deferred(first).await;
    let submit = Submit::text("c").model("other/m");
    let other = fleet.submit(submit).await;
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["c"], "the slot should be free");
    call.reply("C");
    assert_eq!(fleet.outcome(other).await.status, Status::Completed);
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a"]);
    call.reply("A");
    let call = fleet.next_call().await;
    assert_eq!(call.texts(), ["a", "A", "b"]);
    call.reply("B");
    assert_eq!(fleet.outcome(first).await.status, Status::Completed);
    assert_eq!(fleet.outcome(second).await.status, Status::Completed);
}

#[tokio::test]
async fn a_cancelled_job_no_longer_waits() {
    let fleet = Fleet::start(settings(1));
    let job = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    call.fail(refused(Fault::Unavailable, Retry::AfterMs(600_000)));
    fleet.wait_until_deferred(job).await;
    fleet.cancel(job, None).await;
    assert_eq!(fleet.outcome(job).await.status, Status::Cancelled);
}

#[tokio::test]
async fn a_job_whose_wake_names_no_model_waits_too() {
    let mut fleet = Fleet::without_worker(settings(1));
    let closing = fleet.submit(Submit::text("a")).await;
    fleet.start_worker();
    let call = fleet.next_call().await;
    call.fail(refused(Fault::Unavailable, Retry::AfterMs(600_000)));
    fleet.wait_until_deferred(closing).await;
    fleet.stop_worker().await;
    let job = fleet.submit(Submit::text("b")).await;
    fleet.lose_wake(job).await;
    fleet.wake(job).await;
    fleet.restart_worker();
    // The model is read with the claim.
    assert_eq!(
        fleet.wait_until_deferred(job).await,
        AccountKey::of_provider("scripted")
    );
    let entry = fleet.entry(job).await;
    assert_eq!((entry.tries, entry.attempts.len()), (0, 1));
}

#[tokio::test]
async fn after_the_job_of_a_probe_is_cancelled_the_next_probe_starts() {
    let fleet = Fleet::start(settings(2));
    let first = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    call.fail(refused(Fault::Unavailable, Retry::AfterMs(PAUSE_MS)));
    fleet.wait_until_deferred(first).await;
    let second = fleet.submit(Submit::text("b")).await;
    fleet.wait_until_deferred(second).await;
    let mut probe = fleet.next_call().await;
    let (probed, other) = match probe.input().as_str() {
        "a" => (first, second),
        _ => (second, first),
    };
    let began = tokio::time::Instant::now();
    fleet.cancel(probed, None).await;
    probe.wait_until_dropped().await;
    fleet.next_call().await.reply("ok");
    assert_eq!(fleet.outcome(other).await.status, Status::Completed);
    // If the end of the cancelled call were not reported, the next probe would start only after 30 s.
    let elapsed = began.elapsed();
    assert!(elapsed.as_secs() < 25, "{elapsed:?}");
}

#[tokio::test]
async fn only_a_failure_that_the_provider_answered_ends_its_outage() {
    for (is_answer, retry) in [
        (false, Retry::Never),
        (true, Retry::Never),
        (true, Retry::LessContext),
    ] {
        let fleet = Fleet::start(settings(2));
        let closing = fleet.submit(Submit::text("a")).await;
        let call = fleet.next_call().await;
        call.fail(refused(Fault::Unavailable, Retry::AfterMs(200)));
        let key = AccountKey::of_provider("scripted");
        let probe = fleet.next_call().await;
        let next = fleet.submit(Submit::text("b")).await;
        fleet.wait_until_deferred(next).await;
        let failure = Failure::new("planned", "no", retry);
        probe.fail(if is_answer {
            failure.as_answer()
        } else {
            failure
        });
        assert_eq!(fleet.outcome(closing).await.status, Status::Failed);
        if is_answer {
            fleet.next_call().await.reply("B");
            let is_open = async || fleet.member.accounts.get(&key).phase == Phase::Open;
            wait_until("the account is open", is_open).await;
        } else {
            // The answers of calls are applied within 100 ms.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let phase = fleet.member.accounts.get(&key).phase;
            assert!(matches!(phase, Phase::Probing(_)), "{phase:?}");
        }
    }
}
