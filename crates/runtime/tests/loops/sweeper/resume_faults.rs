//! Jobs that wait for their provider are resumed although processes die and the store fails. What processes leave behind is
//! removed.

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_runtime::lanes::LaneChange;
use forebay_shared::{
    account::{AccountEvent, AccountKey, ConfiguredBy, FORGET_MS},
    class::Class,
    wake::WakePermit,
};

use super::resume::{concurrency, provider};
use crate::scene::{Scene, TIMEOUT, lane, pass_ms, process};

#[tokio::test(start_paused = true)]
async fn only_the_sweeper_resumes_jobs() {
    let scene = Scene::new();
    let until = scene.now().plus_ms(10_000);
    scene
        .inner_store
        .state()
        .elect_until(process("other"), until);
    let job = scene
        .admit_deferred("s", 0, &provider(), Class::Interactive)
        .await;
    let _member = scene.join("me");
    pass_ms(9_000).await;
    assert!(scene.queue.woken().is_empty());
    pass_ms(2_500).await;
    assert_eq!(scene.queue.woken(), [job]);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_sweeper_died_before_it_published_the_wake_is_woken_by_its_timer() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, concurrency(1)).await;
    let job = scene.admit_deferred("s", 0, &key, Class::Interactive).await;
    let take = AccountEvent::Take {
        calls: 1,
        process: process("dead"),
        more_wait: false,
    };
    scene.apply_to(&key, take).await;
    let permit = WakePermit {
        account: key.clone(),
        process: process("dead"),
    };
    let resume = LaneChange::resume(lane("s-0"), job, permit);
    // The wakes of this process are lost.
    scene.other_process().apply(resume, TIMEOUT).await.unwrap();
    let next = scene.admit_deferred("s", 1, &key, Class::Interactive).await;
    let member = scene.join("me");
    pass_ms(3_500).await;
    let wakes = scene.queue.wakes();
    let wake = wakes
        .iter()
        .find(|wake| wake.job == job)
        .expect("the job should be woken, because its timer is due");
    assert_eq!(wake.permit, None);
    // The permit of the dead process is free again, once the process counts as gone.
    pass_ms(5_000).await;
    assert!(scene.queue.woken().contains(&next));
    assert_eq!(member.accounts.available(&key, 9), 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_alive_keeps_its_calls() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, concurrency(1)).await;
    let member = scene.join("me");
    let _permits = member
        .accounts
        .take([&key].into_iter(), None)
        .await
        .unwrap();
    pass_ms(30_000).await;
    assert_eq!(member.accounts.available(&key, 9), 0);
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_a_process_that_is_gone_may_be_replaced() {
    let scene = Scene::new();
    let (key, limits) = (provider(), concurrency(1));
    let by = |name: &str| ConfiguredBy {
        started_at: scene.now(),
        process: process(name),
    };
    let member = scene.join("me");
    let configured_by = || {
        let state = scene.inner_store.state();
        let configured_by = &state.accounts[&key].account.configured_by;
        configured_by.as_ref().map(|by| by.process.clone())
    };
    for (name, expected) in [("me", Some(member.id.clone())), ("gone", None)] {
        let by = by(name);
        // Limits that are equal do not change the account.
        let limits = if name == "me" { limits } else { concurrency(2) };
        scene
            .apply_to(&key, AccountEvent::Configured { limits, by })
            .await;
        pass_ms(5_000).await;
        assert_eq!(configured_by(), expected);
    }
    assert_eq!(member.accounts.get(&key).configured, concurrency(2));
}

#[tokio::test(start_paused = true)]
async fn permits_of_jobs_that_could_not_be_resumed_are_given_back() {
    let scene = Scene::new();
    let key = provider();
    scene.set_limits(&key, concurrency(2)).await;
    let jobs = scene.admit_all_deferred("s", 2, &key).await;
    scene
        .store
        .plan(StoreCall::Commit, [Fault::Broken, Fault::Broken]);
    let _member = scene.join("me");
    pass_ms(2_000).await;
    let mut woken = scene.queue.woken();
    woken.sort_unstable();
    let mut jobs = jobs;
    jobs.sort_unstable();
    assert_eq!(woken, jobs);
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_store_calls_fail_holds_up_no_others() {
    let scene = Scene::new();
    let keys = ["a", "b", "c"].map(AccountKey::of_provider);
    for (n, key) in keys.iter().enumerate() {
        scene.admit_deferred("s", n, key, Class::Interactive).await;
    }
    let _member = scene.join("me");
    // The first search fails.
    scene.store.plan(StoreCall::DeferredHeads, [Fault::Broken]);
    pass_ms(1_250).await;
    assert!(scene.queue.woken().len() >= 2, "{:?}", scene.queue.woken());
    pass_ms(1_000).await;
    assert_eq!(scene.queue.woken().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_store_calls_are_slow_holds_up_no_others() {
    let scene = Scene::new();
    let [slow, other] = ["a", "b"].map(AccountKey::of_provider);
    let late = scene
        .admit_deferred("slow", 0, &slow, Class::Interactive)
        .await;
    let mut jobs = vec![
        scene
            .admit_deferred("s", 0, &other, Class::Interactive)
            .await,
    ];
    // The first search is for the first account.
    let delay = Fault::After(Box::pin(pass_ms(10_000)));
    scene.store.plan(StoreCall::DeferredHeads, [delay]);
    let _member = scene.join("me");
    for n in 1..4 {
        pass_ms(1_500).await;
        assert_eq!(scene.queue.woken(), jobs);
        jobs.push(
            scene
                .admit_deferred("s", n, &other, Class::Interactive)
                .await,
        );
    }
    pass_ms(8_000).await;
    jobs.push(late);
    assert_eq!(scene.queue.woken(), jobs);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_jobs_are_resumed_is_reported() {
    let scene = Scene::new();
    scene
        .admit_deferred("s", 0, &provider(), Class::Interactive)
        .await;
    scene.store.plan(StoreCall::DeferredHeads, [Fault::Panic]);
    let member = scene.join("me");
    let failed = tokio::time::timeout(TIMEOUT, member.failed()).await;
    assert!(failed.is_ok(), "the panic was not reported");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_resumed_after_an_outage_of_the_store() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_ms(1_000).await;
    for (n, mode) in [StoreMode::Down, StoreMode::Hanging]
        .into_iter()
        .enumerate()
    {
        scene.store.set_mode(mode);
        pass_ms(10_000).await;
        let job = scene
            .admit_deferred("s", n, &provider(), Class::Interactive)
            .await;
        scene.store.set_mode(StoreMode::Up);
        pass_ms(5_000).await;
        assert!(scene.queue.woken().contains(&job), "after {mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_that_were_not_limited_for_long_are_removed() {
    let scene = Scene::new();
    let opened = AccountKey::of_provider("opened");
    let unused = AccountKey::of_provider("unused");
    let configured = AccountKey::of_provider("configured");
    scene.close_account(&opened, 1_000).await;
    scene.close_account(&unused, 1_000).await;
    scene.set_limits(&configured, concurrency(1)).await;
    let _member = scene.join("me");
    pass_ms(2_000).await;
    let take = AccountEvent::Take {
        calls: 1,
        process: process("me"),
        more_wait: false,
    };
    scene.apply_to(&opened, take).await;
    let answered = AccountEvent::Answered {
        started_at: vec![scene.now()],
        replies: 1,
        tokens: 0,
        limits: None,
    };
    scene.apply_to(&opened, answered).await;
    pass_ms(FORGET_MS - 10_000).await;
    assert_eq!(scene.inner_store.state().accounts.len(), 3);
    pass_ms(20_000).await;
    let accounts = scene
        .inner_store
        .state()
        .accounts
        .keys()
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(accounts, [configured]);
}
