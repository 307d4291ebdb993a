//! Tests of jobs that wait for their provider: how the API shows them, and how many of them are accepted.

use std::{future::pending, sync::Arc, time::Duration};

use faulty_store::{Fault, StoreCall};
use forebay_gateway::ModelAccounts;
use forebay_runtime::lanes::{LaneChange, ProviderWait};
use forebay_shared::{
    account::{AccountEvent, AccountKey, ClosedBy, Phase, Refusal},
    ids::JobId,
    job::JobError,
    time::TimeMs,
};
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::fixture::{Fixture, id_of, lane_without_session, repeat_until};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than a test runs, so that the sweeper resumes no job.
const CLOSED_MS: u64 = 200_000;

fn error() -> JobError {
    JobError::new("rate_limited", "slow down")
}

/// Closes an account, as a worker does after a refused call. Returns the time until which it is closed.
async fn close(gateway: &Fixture, key: &AccountKey) -> TimeMs {
    let refusal = Refusal {
        cause: ClosedBy::RateLimit,
        taken_at: gateway.member.store.now(),
        overload_calls: None,
        retry_after_ms: Some(CLOSED_MS),
        limits: None,
        error: error(),
        random: 0.5,
    };
    let accounts = &gateway.member.accounts;
    let refused = accounts.apply(key, AccountEvent::Refused(refusal)).await;
    refused.expect("the account is changed");
    match accounts.get(key).phase {
        Phase::Closed(closing) => closing.until,
        phase => panic!("the account is {phase:?}"),
    }
}

/// Defers a job without a session, as a worker without a permit does.
async fn defer(gateway: &Fixture, job: JobId, account: &AccountKey) {
    let wait = ProviderWait {
        account: account.clone(),
        error: error(),
    };
    let change = LaneChange::defer(lane_without_session(job), job, wait);
    let deferred = gateway.member.lanes.apply(change, TIMEOUT).await;
    deferred.expect("the job is deferred");
}

/// Waits until the newest sample of the counts has this many waiting jobs.
async fn wait_for_sample(gateway: &Fixture, waiting: u64) {
    let is_sampled = async {
        loop {
            let counts = gateway.member.gauge.counts();
            let heads = counts.map(|(counts, _)| counts.deferred.iter().map(|c| c.heads).sum());
            if heads == Some(waiting) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let sampled = timeout(TIMEOUT, is_sampled).await;
    sampled.expect("a sample has the expected number of waiting jobs");
}

#[tokio::test]
async fn a_job_and_its_provider_show_that_the_job_waits() {
    let gateway = Fixture::start().await;
    let shown = gateway.get("/v1/providers").await.expect(200);
    assert_eq!(shown, json!({"providers": []}));
    let account = AccountKey::of_model("openai", "gpt-5");
    let until = close(&gateway, &account).await;
    let job = gateway
        .submit_accepted(&json!({"input": "Hi.", "priority": "batch"}))
        .await;
    let path = format!("/v1/jobs/{job}");
    let shown = gateway.get(&path).await.expect(200);
    assert_eq!(shown.get("waiting_for"), None);
    defer(&gateway, job, &account).await;

    let shown = gateway.get(&path).await.expect(200);
    assert_eq!(shown["status"], "queued");
    assert_eq!(shown["waiting_for"], "openai/gpt-5");
    assert_eq!(
        shown["waiting_error"],
        json!({"code": "rate_limited", "message": "slow down"})
    );
    let waits = |body: &Value| body["providers"][0]["waiting"]["batch"] == 1;
    let shown = repeat_until(
        || gateway.get("/v1/providers"),
        |answer| waits(&answer.body),
    )
    .await;
    let shown = shown.expect(200);
    let shown = &shown["providers"][0];
    assert_eq!(shown["name"], "openai/gpt-5");
    assert_eq!(shown["phase"], "closed");
    assert_eq!(shown["closed_until"], until.rfc3339());
    assert_eq!(shown["error"]["message"], "slow down");
    let queues = gateway.get("/v1/queues").await.expect(200);
    assert_eq!(queues["classes"]["batch"]["provider_wait"], 1);

    gateway.post(&format!("{path}/cancel")).await.expect(200);
    let shown = gateway.get(&path).await.expect(200);
    assert_eq!(shown.get("waiting_for"), None);
}

/// A gateway with a backlog of ten jobs, of which five may wait for one provider. The provider of a model is the part of its name
/// before `-`.
async fn gateway_with_share_of_five() -> Fixture {
    let gateway = Fixture::with_settings(|settings| {
        settings.backlog_max = 10;
        settings.model_accounts = ModelAccounts::new(|model| {
            let provider = model.split('-').next().unwrap_or_default();
            vec![
                AccountKey::of_provider(provider),
                AccountKey::of_model(provider, model),
            ]
        });
    })
    .await;
    gateway.member.presence.clone().renewed_once().await;
    gateway
}

fn job_for(model: &str) -> Value {
    json!({"input": "Hi.", "model": model})
}

/// Submits jobs for a model until one is refused because too many jobs wait for the provider. Returns how many were accepted.
async fn submit_until_refused(gateway: &Fixture, model: &str) -> usize {
    for accepted in 0..10 {
        let response = gateway.submit(&job_for(model)).await;
        if response.status == 503 {
            response.expect_problem(503, "provider_backlog_full");
            return accepted;
        }
        response.expect(202);
    }
    panic!("no submit was refused");
}

#[tokio::test]
async fn jobs_that_wait_for_one_provider_take_at_most_half_of_the_backlog() {
    let gateway = gateway_with_share_of_five().await;
    let account = AccountKey::of_model("away", "away-1");
    let until = close(&gateway, &account).await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        // Until the next sample, a job that was admitted while a sample was made counts twice.
        let submit = async || gateway.submit(&job_for("away-1")).await;
        let accepted = repeat_until(submit, |response| response.status == 202).await;
        let job = id_of(&accepted.body);
        defer(&gateway, job, &account).await;
        jobs.push(job);
    }
    wait_for_sample(&gateway, 5).await;

    let closed_s = || until.since_ms(gateway.member.store.now()).div_ceil(1_000);
    let before_s = closed_s();
    let refused = gateway.submit(&job_for("away-1")).await;
    let retry_after_s: u64 = refused
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("the response has a Retry-After header");
    assert!((closed_s()..=before_s).contains(&retry_after_s));
    refused.expect_problem(503, "provider_backlog_full");
    gateway
        .submit_with_key(&job_for("away-1"), "k")
        .await
        .expect_problem(503, "provider_backlog_full");
    gateway.get("/readyz/submits").await.expect(200);
    gateway.submit_accepted(&job_for("away-2")).await;
    gateway.submit_accepted(&job_for("other-1")).await;

    let cancel = format!("/v1/jobs/{}/cancel", jobs[0]);
    gateway.post(&cancel).await.expect(200);
    wait_for_sample(&gateway, 4).await;
    gateway.submit_accepted(&job_for("away-1")).await;
}

#[tokio::test]
async fn jobs_that_are_later_than_a_sample_count_when_it_arrives() {
    let gateway = gateway_with_share_of_five().await;
    let account = AccountKey::of_model("away", "away-1");
    close(&gateway, &account).await;
    let job = gateway.submit_accepted(&job_for("away-1")).await;
    defer(&gateway, job, &account).await;
    wait_for_sample(&gateway, 1).await;

    // As in a fleet, the next sample is made some time before this gateway gets it.
    let (made, is_made) = oneshot::channel();
    let (arrive, arrives) = oneshot::channel::<()>();
    let late = Fault::RespondAfter(Box::pin(async move {
        let _ = made.send(());
        let _ = arrives.await;
    }));
    let no_newer = Fault::After(Box::pin(pending()));
    gateway.store.plan(StoreCall::Counts, [late, no_newer]);
    is_made.await.expect("the sample is made");
    let (earlier, _) = gateway.member.gauge.counts().expect("a sample is known");
    let accepted = submit_until_refused(&gateway, "away-1").await;
    arrive.send(()).expect("the gauge waits for the sample");
    let has_arrived = || {
        let (newest, _) = gateway.member.gauge.counts().expect("a sample is known");
        !Arc::ptr_eq(&earlier, &newest)
    };
    let arrived = timeout(TIMEOUT, async {
        while !has_arrived() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    arrived.await.expect("the sample arrives");
    // The sample has one waiting job. All other jobs were admitted later.
    let accepted = accepted + submit_until_refused(&gateway, "away-1").await;
    assert_eq!(1 + accepted, 5);
}
