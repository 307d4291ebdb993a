//! The limits of the providers file: two workers together never exceed them.

use std::time::Duration;

use forebay_runtime::lanes::LaneChange;
use forebay_shared::{
    account::{AccountKey, ConfiguredLimits},
    class::Class,
    ids::{JobId, LaneKey, TenantId},
    job::Status,
    wake::WakePermit,
};
use forebay_worker::provider::{Failure, Retry};
use tokio::time::{Instant, timeout};

use crate::harness::{Fleet, PendingCall, Submit, settings, wait_for, wait_until};

fn concurrency(calls: u32) -> ConfiguredLimits {
    ConfiguredLimits {
        concurrency: Some(calls),
        ..ConfiguredLimits::default()
    }
}

fn per_minute(requests: u32) -> ConfiguredLimits {
    ConfiguredLimits {
        requests_per_minute: Some(requests),
        ..ConfiguredLimits::default()
    }
}

impl Fleet {
    /// Two workers, once both know the limit of an account.
    pub(crate) async fn limited(key: AccountKey, limits: ConfiguredLimits) -> Self {
        let mut fleet = Self::with_limits(settings(20), [(key.clone(), limits)]);
        fleet.start_worker();
        fleet.start_another_worker();
        wait_until("the limit is known", async || {
            let all = fleet
                .members()
                .into_iter()
                .map(|member| member.accounts.all());
            all.flatten()
                .filter(|(known, account)| *known == key && account.configured == limits)
                .count()
                == 2
        })
        .await;
        fleet
    }

    async fn submit_many(&self, count: usize) -> Vec<JobId> {
        let mut jobs = Vec::with_capacity(count);
        for n in 0..count {
            jobs.push(self.submit(Submit::text(&n.to_string())).await);
        }
        jobs
    }

    async fn assert_all_completed(&self, jobs: Vec<JobId>) {
        for job in jobs {
            let outcome = self.outcome(job).await;
            assert_eq!(outcome.status, Status::Completed);
            assert_eq!(outcome.attempts.len(), 1, "a call was refused");
        }
    }
}

#[tokio::test]
async fn two_workers_together_never_exceed_the_limit_on_calls_in_flight() {
    for key in [
        AccountKey::of_provider("scripted"),
        AccountKey::of_model("scripted", "m"),
    ] {
        let fleet = Fleet::limited(key.clone(), concurrency(3)).await;
        let jobs = fleet.submit_many(15).await;
        let mut running: Vec<PendingCall> = Vec::new();
        for n in 0..15 {
            if running.len() == 3 {
                // A further call would arrive within this time.
                let further = timeout(Duration::from_millis(100), fleet.next_call()).await;
                assert!(further.is_err(), "a fourth call is in flight");
                running.remove(n % 3).reply("ok");
            }
            running.push(fleet.next_call().await);
        }
        for call in running {
            call.reply("ok");
        }
        fleet.assert_all_completed(jobs).await;
        wait_until("no call is counted any more", async || {
            let all = fleet.member.accounts.all();
            let (_, account) = all.iter().find(|(known, _)| *known == key).unwrap();
            account.in_flight.is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn calls_that_are_cancelled_panic_or_fail_free_their_permits() {
    let fleet = Fleet::limited(AccountKey::of_provider("scripted"), concurrency(1)).await;
    let cancelled = fleet.submit(Submit::text("a")).await;
    let mut call = fleet.next_call().await;
    let other = fleet.submit(Submit::text("b")).await;
    fleet.cancel(cancelled, None).await;
    call.wait_until_dropped().await;
    let call = fleet.next_call().await;
    assert_eq!(call.input(), "b");
    call.panic();
    let call = fleet.next_call().await;
    call.fail(Failure::new("provider_timeout", "no", Retry::Backoff));
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(other).await.status, Status::Completed);
}

#[tokio::test]
async fn two_workers_together_never_exceed_the_limit_on_calls_a_minute() {
    // 20 a second, and a burst of 5.
    let key = AccountKey::of_provider("scripted");
    let fleet = Fleet::limited(key, per_minute(1_200)).await;
    let began = Instant::now();
    let submit = fleet.submit_many(60);
    let calls = async {
        for n in 1..=60 {
            let call = fleet.next_call().await;
            let allowed = 5.0 + 20.0 * began.elapsed().as_secs_f64();
            assert!(f64::from(n) <= allowed + 1.0, "call {n}, allowed {allowed}");
            call.reply("ok");
        }
    };
    let (jobs, ()) = wait_for("all jobs are called", async { tokio::join!(submit, calls) }).await;
    fleet.assert_all_completed(jobs).await;
    // (60 − 5) / 20 s, and time for stalls of a busy machine.
    let elapsed = began.elapsed();
    assert!(
        elapsed <= Duration::from_secs(20),
        "the jobs took {elapsed:?}"
    );
    let depth = fleet.queue().depth(Class::Interactive).await.unwrap();
    assert_eq!(depth, 0);
}

#[tokio::test]
async fn a_resumed_job_whose_permit_has_expired_runs_before_the_jobs_that_wait() {
    let key = AccountKey::of_provider("scripted");
    let mut fleet = Fleet::with_limits(settings(3), [(key.clone(), concurrency(1))]);
    fleet.prevent_sweeper_election();
    fleet.start_worker();
    wait_until("the limit is known", async || {
        fleet.member.accounts.is_limited(&key)
    })
    .await;
    let first = fleet.submit(Submit::text("a")).await;
    let call = fleet.next_call().await;
    let resumed = fleet.submit(Submit::text("b")).await;
    let waiting = fleet.submit(Submit::text("c")).await;
    for job in [resumed, waiting] {
        assert_eq!(fleet.wait_until_deferred(job).await, key);
    }
    call.reply("A");
    fleet.outcome(first).await;
    fleet.stop_worker().await;
    let permit = WakePermit {
        account: key.clone(),
        process: fleet.member.id.clone(),
    };
    let more_wait = false;
    let taken = fleet
        .member
        .accounts
        .take_for_wakes(&key, 1, more_wait)
        .await;
    assert_eq!(taken.expect("the store answers"), 1);
    let lane = LaneKey::of(&TenantId::default(), None, resumed);
    let resume = LaneChange::resume(lane, resumed, permit);
    let changed = fleet.member.lanes.apply(resume, Duration::from_secs(10));
    changed.await.expect("the job is resumed");
    // The worker takes the wake only after its permit has expired, as if all slots had been in use.
    tokio::time::sleep(Duration::from_millis(WakePermit::VALID_MS + 100)).await;
    wait_until("the counts show the job that waits", async || {
        fleet.member.gauge.has_deferred(&key)
    })
    .await;
    fleet.restart_worker();
    let call = fleet.next_call().await;
    assert_eq!(call.input(), "b");
    call.reply("B");
    assert_eq!(fleet.outcome(resumed).await.status, Status::Completed);
}
