//! Jobs that wait for their provider are resumed as permits become free, the oldest first.

use faulty_store::{Fault, StoreCall};
use forebay_runtime::{
    accounts::{Accounts, AccountsLoop},
    lanes::{LaneChange, ProviderWait},
};
use forebay_shared::{
    account::{AccountEvent, AccountKey, ClosedBy, ConfiguredLimits, Refusal},
    class::Class,
    ids::JobId,
    job::JobError,
    lane::State,
    wake::WakePermit,
};

use crate::scene::{Scene, TIMEOUT, configured_by_other, lane, new_job_id, pass_ms, process};

pub(super) fn provider() -> AccountKey {
    AccountKey::of_provider("acme")
}

impl Scene {
    /// Admits a job and lets it wait for an account. Its session is `NAME-n`.
    pub(super) async fn admit_deferred(
        &self,
        name: &str,
        n: usize,
        key: &AccountKey,
        class: Class,
    ) -> JobId {
        let session = format!("{name}-{n}");
        let job = new_job_id(&session);
        let admission = self.admission_with(&session, job, "hello", |admit| admit.class = class);
        let lanes = self.other_process();
        lanes.apply(admission, TIMEOUT).await.unwrap();
        let defer = LaneChange::defer(lane(&session), job, provider_wait(key));
        lanes.apply(defer, TIMEOUT).await.unwrap();
        job
    }

    /// Lets interactive jobs wait for an account, each admitted 1 ms after the one before.
    pub(super) async fn admit_all_deferred(
        &self,
        name: &str,
        count: usize,
        key: &AccountKey,
    ) -> Vec<JobId> {
        let mut jobs = Vec::with_capacity(count);
        for n in 0..count {
            jobs.push(self.admit_deferred(name, n, key, Class::Interactive).await);
            pass_ms(1).await;
        }
        jobs
    }

    /// Applies an event to an account, as another process does.
    pub(super) async fn apply_to(&self, key: &AccountKey, event: AccountEvent) {
        let accounts = Accounts::new(self.inner_store.clone(), process("other"));
        let accounts_loop = tokio::spawn(AccountsLoop::new(accounts.clone()).run());
        // Lets the process read the accounts.
        pass_ms(30).await;
        accounts.apply(key, event).await.unwrap();
        accounts_loop.abort();
    }

    pub(super) async fn set_limits(&self, key: &AccountKey, limits: ConfiguredLimits) {
        self.apply_to(key, configured_by_other(limits)).await;
    }

    pub(super) async fn close_account(&self, key: &AccountKey, retry_after_ms: u64) {
        self.close_by(key, ClosedBy::Unavailable, retry_after_ms)
            .await;
    }

    async fn close_by(&self, key: &AccountKey, cause: ClosedBy, retry_after_ms: u64) {
        let refusal = Refusal {
            cause,
            taken_at: self.now(),
            overload_calls: None,
            retry_after_ms: Some(retry_after_ms),
            limits: None,
            error: JobError::new("planned", "the test refuses the call"),
            random: 0.5,
        };
        self.apply_to(key, AccountEvent::Refused(refusal)).await;
    }

    fn is_deferred(&self, name: &str, n: usize, job: JobId) -> bool {
        let entry = self.entry(&format!("{name}-{n}"), job);
        matches!(entry.state, State::Deferred(_))
    }
}

pub(super) fn provider_wait(key: &AccountKey) -> ProviderWait {
    ProviderWait {
        account: key.clone(),
        error: JobError::new("rate_limited", "the test defers the job"),
    }
}

pub(super) fn concurrency(calls: u32) -> ConfiguredLimits {
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

#[tokio::test(start_paused = true)]
async fn the_oldest_jobs_are_resumed_with_the_permits_that_there_are() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, concurrency(5)).await;
    let jobs = scene.admit_all_deferred("s", 20, &key).await;
    let _member = scene.join("me");
    pass_ms(2_000).await;
    let mut woken = scene.queue.woken();
    woken.sort_unstable();
    let mut oldest = jobs[..5].to_vec();
    oldest.sort_unstable();
    assert_eq!(woken, oldest);
    let permit = WakePermit {
        account: key,
        process: process("me"),
    };
    for wake in scene.queue.wakes() {
        assert_eq!(wake.permit.as_ref(), Some(&permit));
        assert_eq!(wake.model.as_deref(), Some("m"));
    }
    for (n, job) in jobs.iter().enumerate() {
        assert_eq!(scene.is_deferred("s", n, *job), n >= 5);
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_are_resumed_at_the_rate_of_their_account() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, per_minute(600)).await;
    scene.admit_all_deferred("s", 50, &key).await;
    let _member = scene.join("me");
    let mut woken = Vec::new();
    for _ in 0..700 {
        pass_ms(10).await;
        woken.push(scene.queue.woken().len());
    }
    // Ten a second, with a burst of 2.5.
    for (first, before) in woken.iter().enumerate() {
        for (later, after) in woken.iter().enumerate().skip(first) {
            let allowed = 2.5 + 0.1 * (later - first + 1) as f64;
            let resumed = (after - before) as f64;
            assert!(resumed <= allowed, "{resumed} from {first} to {later}");
        }
    }
    let first = woken.iter().position(|woken| *woken > 0).unwrap();
    assert!(first <= 100, "the first job waits for {} ms", first * 10);
    let last = woken
        .iter()
        .position(|woken| *woken == 50)
        .expect("all are resumed");
    assert!(
        last - first <= 500,
        "the jobs took {} ms",
        (last - first) * 10
    );
}

/// The sweeper never asks for a permit that does not exist, so it must record that more jobs wait (`short_at`). Otherwise no
/// higher rate would be tried.
#[tokio::test(start_paused = true)]
async fn the_sweeper_reports_whether_more_jobs_wait() {
    for (count, more_jobs_wait) in [(50, true), (1, false)] {
        let scene = Scene::new();
        let key = provider();
        scene.close_by(&key, ClosedBy::RateLimit, 1_000).await;
        scene.admit_all_deferred("s", count, &key).await;
        let _member = scene.join("me");
        pass_ms(3_000).await;
        assert!(!scene.queue.woken().is_empty());
        let stored = scene.inner_store.state().accounts[&key].account.clone();
        let account = serde_json::to_value(stored).unwrap();
        assert_eq!(
            account["pace"]["short_at"].is_u64(),
            more_jobs_wait,
            "{account}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn batch_jobs_get_a_tenth_and_what_interactive_jobs_leave() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, per_minute(1_200)).await;
    scene.admit_all_deferred("s", 100, &key).await;
    for n in 0..30 {
        scene.admit_deferred("batch", n, &key, Class::Batch).await;
    }
    let _member = scene.join("me");
    let is_batch = |wake: &forebay_shared::wake::Wake| wake.class == Class::Batch;
    loop {
        pass_ms(50).await;
        let wakes = scene.queue.wakes();
        let batch = wakes.iter().filter(|wake| is_batch(wake)).count();
        if wakes.len() - batch < 100 {
            let excess_over_a_tenth = batch as f64 - wakes.len() as f64 / 10.0;
            assert!(
                (-2.0..=2.0).contains(&excess_over_a_tenth),
                "{batch} of {}",
                wakes.len()
            );
        } else {
            break;
        }
    }
    pass_ms(2_000).await;
    assert_eq!(scene.queue.woken().len(), 130);
}

#[tokio::test(start_paused = true)]
async fn a_pass_resumes_at_most_500_jobs_of_an_account() {
    let scene = Scene::new();
    scene.set_limits(&provider(), concurrency(100_000)).await;
    scene.admit_all_deferred("s", 1_100, &provider()).await;
    let _member = scene.join("me");
    let mut before = 0;
    let mut steps = Vec::new();
    for _ in 0..300 {
        pass_ms(10).await;
        let woken = scene.queue.woken().len();
        if woken > before {
            steps.push(woken - before);
        }
        before = woken;
    }
    assert_eq!(steps, [500, 500, 100]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_the_store_has_lost_begins_with_one_job() {
    let scene = Scene::new();
    scene.admit_all_deferred("s", 1_100, &provider()).await;
    let _member = scene.join("me");
    let mut woken = Vec::new();
    for _ in 0..1_000 {
        pass_ms(10).await;
        woken.push(scene.queue.woken().len());
    }
    let first = woken.iter().position(|woken| *woken > 0).unwrap();
    assert_eq!(woken[first], 1, "the first is the only probe");
    assert!(woken[first + 100] <= 40, "{}", woken[first + 100]);
    assert!(woken[first + 200] <= 100, "{}", woken[first + 200]);
    assert_eq!(woken[first + 700], 1_100);
}

#[tokio::test(start_paused = true)]
async fn a_refused_probe_of_a_lost_account_keeps_the_other_jobs_waiting() {
    let scene = Scene::new();
    scene.admit_all_deferred("s", 100, &provider()).await;
    let _member = scene.join("me");
    while scene.queue.woken().is_empty() {
        pass_ms(1).await;
    }
    scene.close_account(&provider(), 10_000).await;
    let woken = scene.queue.woken().len();
    assert!(woken <= 2, "{woken} calls before the refusal was known");
    pass_ms(9_900).await;
    assert_eq!(scene.queue.woken().len(), woken);
    pass_ms(300).await;
    assert_eq!(scene.queue.woken().len(), woken + 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_sweeper_knows_the_accounts_of_the_store() {
    let scene = Scene::new();
    scene.close_account(&provider(), 20_000).await;
    let before = scene.inner_store.state().accounts.clone();
    scene.admit_all_deferred("s", 5, &provider()).await;
    // The accounts cannot be read at first.
    scene
        .store
        .plan(StoreCall::Accounts, (0..8).map(|_| Fault::Broken));
    let _member = scene.join("me");
    pass_ms(10_000).await;
    assert!(scene.queue.woken().is_empty());
    assert_eq!(scene.inner_store.state().accounts, before);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_closed_account_cost_nothing_and_hold_up_no_others() {
    let scene = Scene::new();
    let closed = provider();
    let open = AccountKey::of_provider("other");
    scene.close_account(&closed, 3_600_000).await;
    let waiting = scene.admit_all_deferred("closed", 20, &closed).await;
    let _member = scene.join("me");
    pass_ms(3_000).await;
    let (commits, searches) = (
        scene.commits_made(),
        scene.store.call_count(StoreCall::DeferredHeads),
    );
    pass_ms(30_000).await;
    assert_eq!(scene.commits_made(), commits);
    assert_eq!(scene.store.call_count(StoreCall::DeferredHeads), searches);
    assert_eq!(scene.store.call_count(StoreCall::SwapAccount), 0);
    scene.set_limits(&open, concurrency(100)).await;
    let mut jobs = scene.admit_all_deferred("open", 20, &open).await;
    pass_ms(1_500).await;
    let mut woken = scene.queue.woken();
    woken.sort_unstable();
    jobs.sort_unstable();
    assert_eq!(woken, jobs);
    for (n, job) in waiting.into_iter().enumerate() {
        assert!(scene.is_deferred("closed", n, job));
    }
}

#[tokio::test(start_paused = true)]
async fn one_job_after_a_closing_is_the_only_probe() {
    let scene = Scene::new();
    let key = provider();
    scene.close_account(&key, 2_000).await;
    let jobs = scene.admit_all_deferred("s", 5, &key).await;
    let _member = scene.join("me");
    pass_ms(1_900).await;
    assert!(scene.queue.woken().is_empty());
    pass_ms(10_000).await;
    let woken = scene.queue.woken();
    assert!(woken.len() == 1 && jobs.contains(&woken[0]), "{woken:?}");
    let answered = AccountEvent::Answered {
        started_at: vec![scene.now()],
        replies: 1,
        tokens: 0,
        limits: None,
    };
    scene.apply_to(&key, answered).await;
    pass_ms(200).await;
    assert_eq!(scene.queue.woken().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_model_and_of_its_provider_share_the_permits_of_the_provider() {
    let scene = Scene::new();
    let (key, model) = (provider(), AccountKey::of_model("acme", "large"));
    scene.set_limits(&key, per_minute(600)).await;
    let of_provider = scene.admit_all_deferred("provider", 40, &key).await;
    let of_model = scene.admit_all_deferred("model", 40, &model).await;
    let _member = scene.join("me");
    pass_ms(3_000).await;
    let woken = scene.queue.woken();
    assert!(
        (15..=33).contains(&woken.len()),
        "{} at 10 a second",
        woken.len()
    );
    for jobs in [of_provider, of_model] {
        let resumed = jobs.iter().filter(|job| woken.contains(job)).count();
        assert!(resumed >= woken.len() / 3, "{resumed} of {}", woken.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_account_without_waiting_jobs_is_not_searched() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, concurrency(5)).await;
    let _member = scene.join("me");
    pass_ms(10_000).await;
    assert_eq!(scene.store.call_count(StoreCall::DeferredHeads), 0);
    let job = scene.admit_deferred("s", 0, &key, Class::Interactive).await;
    pass_ms(1_500).await;
    assert_eq!(scene.queue.woken(), [job]);
}
