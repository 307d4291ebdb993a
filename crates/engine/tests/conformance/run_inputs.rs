//! The run inputs of a job, which a worker reads with its claim: the metadata, the request and the turns.

use forebay_shared::{
    ids::JobId,
    lane::Event,
    session::TokenMeasure,
    store::{CommitResult, RunInputs},
};

use crate::{
    harness::Harness,
    test_lane::{LONG_MS, TestLane, request, texts, worker},
};

async fn run_inputs(lane: &TestLane, job: JobId) -> Option<RunInputs> {
    let loaded = lane.store.load(&lane.key(), &[], Some(job)).await;
    loaded.unwrap().run_inputs
}

pub(crate) async fn contains_the_request_and_the_turns(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    let measure = TokenMeasure {
        sent_bytes: 1_200,
        input_tokens: 300,
    };
    lane.token_measure = Some(measure);
    lane.complete(&["one", "two"]).await;
    // A commit without a measure keeps the stored one.
    lane.token_measure = None;
    lane.complete(&["three"]).await;
    let (first, second) = (lane.admit().await, lane.admit().await);
    for job in [first, second] {
        let run_inputs = run_inputs(&lane, job).await.unwrap();
        assert_eq!(run_inputs.meta.id, job);
        assert_eq!(run_inputs.request, request(job));
        assert_eq!(
            texts(&run_inputs.conversation.turns),
            ["one", "two", "three"]
        );
        assert_eq!(run_inputs.conversation.token_measure, Some(measure));
    }
}

pub(crate) async fn exists_for_live_jobs_only(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let ended = lane.complete(&[]).await;
    assert!(run_inputs(&lane, ended).await.is_none());
    assert!(run_inputs(&lane, lane.new_job_id()).await.is_none());
    let live = lane.admit().await;
    assert!(run_inputs(&lane, live).await.is_some());
    assert!(run_inputs(&lane, ended).await.is_none());
}

pub(crate) async fn is_returned_with_a_conflict(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    lane.complete(&["before"]).await;
    let job = lane.admit().await;
    let stale = lane.load(&[]).await;
    lane.admit().await;

    let claim = Event::Claim {
        job,
        worker: worker("worker-1"),
        repeated_fence: None,
        limit_ms: LONG_MS,
    };
    let (mut commit, _) = lane.build_commit(&stale, &claim, vec![]).unwrap();
    commit.run_inputs_of = Some(job);
    let CommitResult::Conflict(newer) = lane.store.commit(&commit).await.unwrap() else {
        panic!("the commit should be a conflict");
    };
    assert_eq!(newer.lane.entries.len(), 2);
    let run_inputs = newer.run_inputs.unwrap();
    assert_eq!(run_inputs.request, request(job));
    assert_eq!(texts(&run_inputs.conversation.turns), ["before"]);
}

pub(crate) async fn without_a_session_has_no_turns(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let job = lane.admit().await;
    let run_inputs = run_inputs(&lane, job).await.unwrap();
    assert_eq!(run_inputs.meta.session, None);
    assert!(run_inputs.conversation.turns.is_empty());
    assert_eq!(run_inputs.conversation.token_measure, None);
}
