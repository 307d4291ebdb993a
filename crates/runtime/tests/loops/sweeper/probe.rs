//! The first call of a closed account is made for a job that has not failed, if there is one.

use faulty_store::StoreCall;
use forebay_runtime::lanes::LaneChange;
use forebay_shared::{account::AccountKey, class::Class, ids::JobId, wake::WakePermit};

use super::resume::provider_wait;
use crate::scene::{Scene, TIMEOUT, claim, claim_key, lane, pass_ms, process};

impl Scene {
    /// Lets a job wait for an account after a worker has claimed it. Its session is `NAME-n`.
    async fn deferred_claimed(&self, name: &str, n: usize, key: &AccountKey) -> JobId {
        let session = format!("{name}-{n}");
        let job = self.admit_deferred(name, n, key, Class::Interactive).await;
        let lanes = self.other_process();
        let permit = WakePermit {
            account: key.clone(),
            process: process("other"),
        };
        let resume = LaneChange::resume(lane(&session), job, permit);
        lanes.apply(resume, TIMEOUT).await.unwrap();
        let fence = claim(&lanes, &session, job, "other").await.unwrap();
        let defer = LaneChange::defer_claimed(claim_key(&session, job, fence), provider_wait(key));
        lanes.apply(defer, TIMEOUT).await.unwrap();
        job
    }

    /// Lets jobs wait that workers have claimed, each admitted 1 ms after the one before.
    async fn all_deferred_claimed(&self, name: &str, count: usize, key: &AccountKey) -> Vec<JobId> {
        let mut jobs = Vec::with_capacity(count);
        for n in 0..count {
            jobs.push(self.deferred_claimed(name, n, key).await);
            pass_ms(1).await;
        }
        jobs
    }

    /// The jobs that are woken after this call until the accounts have made a probe each.
    async fn probes(&self, accounts: usize) -> Vec<JobId> {
        let before = self.queue.woken().len();
        let _member = self.join("me");
        pass_ms(20_000).await;
        let woken = self.queue.woken().split_off(before);
        assert_eq!(woken.len(), accounts, "{woken:?}");
        woken
    }
}

/// Accounts that are closed for longer than a test takes to admit its jobs.
async fn closed(scene: &Scene, count: usize) -> Vec<AccountKey> {
    let names = (0..count).map(|n| format!("p{n}"));
    let keys: Vec<AccountKey> = names.map(|name| AccountKey::of_provider(&name)).collect();
    for key in &keys {
        scene.close_account(key, 10_000).await;
    }
    keys
}

#[tokio::test(start_paused = true)]
async fn a_job_that_no_worker_has_claimed_is_preferred() {
    let scene = Scene::new();
    let keys = closed(&scene, 10).await;
    let mut unclaimed = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        scene
            .all_deferred_claimed(&format!("older{n}"), 4, key)
            .await;
        // A batch job is preferred too, if it is the only one that has not failed.
        let class = Class::ALL[n % 2];
        unclaimed.push(scene.admit_deferred("unclaimed", n, key, class).await);
        scene
            .all_deferred_claimed(&format!("newer{n}"), 4, key)
            .await;
    }
    let mut probes = scene.probes(keys.len()).await;
    probes.sort_unstable();
    unclaimed.sort_unstable();
    assert_eq!(probes, unclaimed);
}

#[tokio::test(start_paused = true)]
async fn a_job_behind_many_claimed_jobs_is_found() {
    let scene = Scene::new();
    let keys = closed(&scene, 1).await;
    scene.all_deferred_claimed("older", 300, &keys[0]).await;
    let unclaimed = scene
        .admit_deferred("unclaimed", 0, &keys[0], Class::Interactive)
        .await;
    let searches = scene.store.call_count(StoreCall::DeferredHeads);
    assert_eq!(scene.probes(1).await, [unclaimed]);
    let searches = scene.store.call_count(StoreCall::DeferredHeads) - searches;
    assert!(searches <= 3, "{searches} searches for one probe");
}

#[tokio::test(start_paused = true)]
async fn any_job_is_the_probe_if_workers_have_claimed_all() {
    let scene = Scene::new();
    let keys = closed(&scene, 20).await;
    let mut oldest = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        oldest.push(scene.all_deferred_claimed(&format!("s{n}"), 5, key).await[0]);
    }
    let probes = scene.probes(keys.len()).await;
    // All 20 are the oldest once in 5^20 runs.
    assert!(probes.iter().any(|job| !oldest.contains(job)), "{probes:?}");
}

#[tokio::test(start_paused = true)]
async fn any_job_is_the_probe_if_workers_have_claimed_none() {
    let scene = Scene::new();
    let keys = closed(&scene, 20).await;
    let mut oldest = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        oldest.push(scene.admit_all_deferred(&format!("s{n}"), 5, key).await[0]);
    }
    let probes = scene.probes(keys.len()).await;
    assert!(probes.iter().any(|job| !oldest.contains(job)), "{probes:?}");
}
