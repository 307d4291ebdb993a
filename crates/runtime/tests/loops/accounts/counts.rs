//! The calls in flight that the store counts for each process, also when permits and events are lost.

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_runtime::accounts::HeldPermit;
use forebay_shared::{
    account::{AccountEvent, AccountKey, ClosedBy, ConfiguredLimits},
    wake::WakePermit,
};

use futures_util::FutureExt as _;

use super::{Processes, model, provider};
use crate::scene::{configured_by_other, pass_ms, process};

/// No job waits beyond those for which permits are taken.
const NO_MORE_WAIT: bool = false;

impl Processes {
    /// A permit that came with a wake.
    fn held(&self, key: &AccountKey, taken_by: &str) -> HeldPermit {
        HeldPermit {
            permit: WakePermit {
                account: key.clone(),
                process: process(taken_by),
            },
            taken_at: self.scene.now(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_came_with_a_wake_is_counted_where_the_call_runs() {
    let processes = Processes::start().await;
    let (key, me, other) = (provider(), &processes.me, &processes.other);
    processes.limit_concurrency(&key, 3).await;
    assert_eq!(me.take_for_wakes(&key, 5, NO_MORE_WAIT).await.unwrap(), 3);
    pass_ms(50).await;
    assert_eq!(processes.in_flight(&key, "me"), 3);
    let held = processes.held(&key, "me");
    let permits = other.take([&key].into_iter(), Some(&held)).await.unwrap();
    assert_eq!(processes.in_flight(&key, "me"), 2);
    assert_eq!(processes.in_flight(&key, "other"), 1);
    let own = me.take([&key].into_iter(), Some(&held)).await.unwrap();
    pass_ms(50).await;
    assert_eq!(processes.in_flight(&key, "me"), 2);
    assert_eq!(me.available(&key, 1), 0, "three permits are in use");
    permits.end().await;
    own.end().await;
    assert_eq!(processes.in_flight(&key, "other"), 0);
    assert_eq!(processes.in_flight(&key, "me"), 1);
    // The last permit's wake was lost. It counts for as long as a worker could still use it.
    pass_ms(8_000).await;
    assert_eq!(processes.in_flight(&key, "me"), 1);
    pass_ms(4_000).await;
    assert_eq!(processes.in_flight(&key, "me"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_whose_taker_is_gone_counts_only_if_another_is_free() {
    let processes = Processes::start().await;
    let key = provider();
    processes.limit_concurrency(&key, 1).await;
    let held = processes.held(&key, "gone");
    let first = processes.me.take([&key].into_iter(), Some(&held)).await;
    let _first = first.expect("no other call is in flight");
    pass_ms(50).await;
    let second = processes.other.take([&key].into_iter(), Some(&held)).await;
    assert_eq!(second.err().unwrap().account, key);
    assert_eq!(processes.in_flight(&key, "other"), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_ended_without_a_report_are_no_longer_counted_after_a_second() {
    let processes = Processes::start().await;
    let key = provider();
    processes.limit_concurrency(&key, 4).await;
    let first = processes.me.take([&key].into_iter(), None).await.unwrap();
    let second = processes.me.take([&key].into_iter(), None).await.unwrap();
    // As after a panic of the attempt.
    drop(first);
    pass_ms(1_100).await;
    assert_eq!(processes.in_flight(&key, "me"), 1);
    // The end of the second call cannot be stored.
    processes.scene.store.set_mode(StoreMode::Down);
    second.end().await;
    processes.scene.store.set_mode(StoreMode::Up);
    pass_ms(1_100).await;
    assert_eq!(processes.in_flight(&key, "me"), 0);
    let swaps = processes.scene.store.call_count(StoreCall::SwapAccount);
    pass_ms(10_000).await;
    let later = processes.scene.store.call_count(StoreCall::SwapAccount);
    assert_eq!(later, swaps, "a count that is right costs no write");
}

#[tokio::test(start_paused = true)]
async fn calls_that_the_store_has_forgotten_are_counted_again_after_a_second() {
    let processes = Processes::start().await;
    let key = provider();
    processes.limit_concurrency(&key, 4).await;
    let permits = processes.me.take([&key].into_iter(), None).await.unwrap();
    pass_ms(50).await;
    let gone = AccountEvent::ProcessGone {
        process: process("me"),
    };
    processes.other.apply(&key, gone).await.unwrap();
    assert_eq!(processes.in_flight(&key, "me"), 0);
    pass_ms(1_100).await;
    assert_eq!(processes.in_flight(&key, "me"), 1);
    permits.end().await;
    assert_eq!(processes.in_flight(&key, "me"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_of_a_model_comes_with_one_of_its_provider() {
    let processes = Processes::start().await;
    let (me, other) = (&processes.me, &processes.other);
    processes.limit_concurrency(&provider(), 2).await;
    processes.limit_concurrency(&model(), 5).await;
    assert_eq!(me.available_for_wakes(&model(), 10), 2);
    assert_eq!(
        me.take_for_wakes(&model(), 10, NO_MORE_WAIT).await.unwrap(),
        2
    );
    pass_ms(50).await;
    for key in [provider(), model()] {
        assert_eq!(processes.in_flight(&key, "me"), 2, "{key}");
    }
    let held = processes.held(&model(), "me");
    let permits = other
        .take([&model(), &provider()].into_iter(), Some(&held))
        .await
        .unwrap();
    for key in [provider(), model()] {
        assert_eq!(processes.in_flight(&key, "me"), 1, "{key}");
        assert_eq!(processes.in_flight(&key, "other"), 1, "{key}");
    }
    permits.end().await;
    me.give_back_for_wakes(&held, 1).await;
    for key in [provider(), model()] {
        assert!(processes.stored(&key).in_flight.is_empty(), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_one_of_its_accounts_denies_takes_no_permit_of_the_others() {
    let processes = Processes::start().await;
    processes.limit_concurrency(&provider(), 1).await;
    processes.limit_concurrency(&model(), 5).await;
    let _taken = processes
        .other
        .take([&provider()].into_iter(), None)
        .await
        .unwrap();
    // The first call is made before this process knows that the provider's permit is taken.
    for _ in 0..2 {
        let keys = [model(), provider()];
        let denied = processes.me.take(keys.iter(), None).await.err().unwrap();
        assert_eq!(denied.account, provider());
        assert!(processes.stored(&model()).in_flight.is_empty());
        pass_ms(50).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_not_made_lets_the_next_one_go_at_once() {
    let causes = [ClosedBy::Unavailable, ClosedBy::RateLimit];
    // The other process may not have read yet that the probe's permit was taken.
    for (cause, read_ms) in causes
        .into_iter()
        .flat_map(|cause| [(cause, 50), (cause, 0)])
    {
        let processes = Processes::start().await;
        let (me, other) = (&processes.me, &processes.other);
        let refusal = processes.refusal(cause, Some(1_000));
        me.apply(&provider(), refusal).await.unwrap();
        pass_ms(1_001).await;
        assert_eq!(
            me.take_for_wakes(&provider(), 5, NO_MORE_WAIT)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            me.take_for_wakes(&provider(), 5, NO_MORE_WAIT)
                .await
                .unwrap(),
            0
        );
        let held = processes.held(&provider(), "me");
        pass_ms(read_ms).await;
        // The account of the model denies the call.
        let refusal = processes.refusal(cause, Some(60_000));
        other.apply(&model(), refusal).await.unwrap();
        let keys = [model(), provider()];
        let denied = other.take(keys.iter(), Some(&held)).await.err().unwrap();
        assert_eq!(denied.account, model());
        pass_ms(50).await;
        assert_eq!(
            me.take_for_wakes(&provider(), 5, NO_MORE_WAIT)
                .await
                .unwrap(),
            1,
            "{cause:?}, read after {read_ms} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_void_once_its_account_has_closed() {
    let processes = Processes::start().await;
    let (me, other) = (&processes.me, &processes.other);
    processes.limit_concurrency(&provider(), 5).await;
    processes.limit_concurrency(&model(), 5).await;
    assert_eq!(
        me.take_for_wakes(&model(), 2, NO_MORE_WAIT).await.unwrap(),
        2
    );
    let held = processes.held(&model(), "me");
    pass_ms(50).await;
    let refusal = processes.refusal(ClosedBy::Unavailable, Some(1_000));
    me.apply(&provider(), refusal).await.unwrap();
    pass_ms(50).await;
    let keys = [model(), provider()];
    let denied = other.take(keys.iter(), Some(&held)).await.err().unwrap();
    assert_eq!(denied.account, provider());
    for key in &keys {
        assert_eq!(processes.in_flight(key, "me"), 1, "{key}");
        assert_eq!(processes.in_flight(key, "other"), 0, "{key}");
    }
    // A permit of the probe was taken after the closing.
    pass_ms(1_000).await;
    assert_eq!(
        me.take_for_wakes(&model(), 5, NO_MORE_WAIT).await.unwrap(),
        1
    );
    let probe = processes.held(&model(), "me");
    pass_ms(50).await;
    let denied = other.take(keys.iter(), Some(&held)).await.err().unwrap();
    assert_eq!(denied.account, provider());
    let permits = other.take(keys.iter(), Some(&probe)).await.unwrap();
    permits.end().await;
}

/// The time of a permit must not be earlier than the probe, or the probe that ends would not be recognised.
#[tokio::test(start_paused = true)]
async fn the_next_probe_goes_at_once_although_the_store_granted_the_first_one_late() {
    for cause in [ClosedBy::Unavailable, ClosedBy::RateLimit] {
        let processes = Processes::start().await;
        let (me, other) = (&processes.me, processes.other.clone());
        let refusal = processes.refusal(cause, Some(1_000));
        me.apply(&provider(), refusal).await.unwrap();
        pass_ms(1_001).await;
        // Another process changes the account first, so the permit is granted only after a conflict.
        let conflict = async move {
            let limits = ConfiguredLimits {
                concurrency: Some(9),
                ..ConfiguredLimits::default()
            };
            let configured = configured_by_other(limits);
            other.apply(&provider(), configured).await.unwrap();
            pass_ms(20).await;
        };
        let fault = Fault::After(conflict.boxed());
        processes.scene.store.plan(StoreCall::SwapAccount, [fault]);
        let probe = me.take([&provider()].into_iter(), None).await.unwrap();
        assert_eq!(me.available(&provider(), 5), 0, "{cause:?}");
        probe.end_unanswered().await;
        assert_eq!(me.available(&provider(), 5), 1, "{cause:?}");
    }
}
