//! Answers of calls are gathered, and none that matters is lost.

use faulty_store::{StoreCall, StoreMode};
use forebay_shared::account::{AccountEvent, ClosedBy, Phase, ReportedLimit, ReportedLimits};

use super::{Processes, provider};
use crate::scene::{pass_ms, process};

impl Processes {
    /// Closes the provider's account for 1 s, and takes the probe that follows.
    async fn probe(&self) {
        let refusal = self.refusal(ClosedBy::Unavailable, Some(1_000));
        self.me.apply(&provider(), refusal).await.unwrap();
        pass_ms(1_001).await;
        let take = AccountEvent::Take {
            calls: 5,
            process: process("me"),
            more_wait: false,
        };
        let decision = self.me.apply(&provider(), take).await.unwrap();
        assert_eq!(decision.granted, 1, "one probe goes at a time");
        assert!(matches!(self.stored(&provider()).phase, Phase::Probing(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_100_ms_cost_one_change() {
    let processes = Processes::start().await;
    processes.probe().await;
    let swaps = processes.scene.store.call_count(StoreCall::SwapAccount);
    let started_at = processes.scene.now();
    for _ in 0..5_000 {
        processes
            .me
            .answered(&provider(), started_at, Some(10), None);
    }
    pass_ms(110).await;
    assert_eq!(processes.stored(&provider()).phase, Phase::Open);
    let swaps = processes.scene.store.call_count(StoreCall::SwapAccount) - swaps;
    assert_eq!(swaps, 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_answered_before_the_first_refusal_show_the_burst() {
    let processes = Processes::start().await;
    let started_at = processes.scene.now();
    for _ in 0..7 {
        processes
            .me
            .answered(&provider(), started_at, Some(10), None);
    }
    pass_ms(500).await;
    assert!(processes.scene.inner_store.state().accounts.is_empty());
    let mut refusal = processes.refusal(ClosedBy::RateLimit, Some(1_000));
    if let AccountEvent::Refused(refusal) = &mut refusal {
        refusal.taken_at = started_at;
    }
    processes.other.apply(&provider(), refusal).await.unwrap();
    pass_ms(300).await;
    let account = serde_json::to_value(processes.stored(&provider())).unwrap();
    assert_eq!(account["pace"]["burst"]["calls"], 7);
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_while_the_store_fails() {
    let processes = Processes::start().await;
    processes.probe().await;
    let started_at = processes.scene.now();
    processes.scene.store.set_mode(StoreMode::Down);
    processes
        .me
        .answered(&provider(), started_at, Some(10), None);
    pass_ms(9_000).await;
    assert_ne!(processes.stored(&provider()).phase, Phase::Open);
    processes.scene.store.set_mode(StoreMode::Up);
    // The last event began less than 3 s ago.
    pass_ms(3_200).await;
    assert_eq!(processes.stored(&provider()).phase, Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn answers_come_before_a_later_event_of_their_account() {
    let processes = Processes::start().await;
    processes.probe().await;
    let started_at = processes.scene.now();
    processes
        .me
        .answered(&provider(), started_at, Some(10), None);
    // Without the answer, the account would be probing, and give no permit.
    let take = AccountEvent::Take {
        calls: 5,
        process: process("me"),
        more_wait: false,
    };
    let decision = processes.me.apply(&provider(), take).await.unwrap();
    assert_eq!(decision.granted, 5);
}

#[tokio::test(start_paused = true)]
async fn a_low_limit_in_an_answer_limits_an_account_that_had_no_limit() {
    let processes = Processes::start().await;
    let report = |remaining| {
        Some(ReportedLimits {
            requests: Some(ReportedLimit {
                limit: 100,
                remaining,
                reset_ms: 60_000,
            }),
            tokens: None,
        })
    };
    let answer = |remaining| {
        let now = processes.scene.now();
        processes
            .me
            .answered(&provider(), now, Some(10), report(remaining));
    };
    answer(80);
    pass_ms(200).await;
    assert!(!processes.me.is_limited(&provider()));
    answer(3);
    pass_ms(200).await;
    assert!(processes.me.is_limited(&provider()));
    assert!(processes.other.is_limited(&provider()));
}
