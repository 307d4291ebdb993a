//! The run inputs of a job, which a worker reads with its claim: the metadata, the request and the turns.

use forebay_shared::{
    ids::JobId,
    lane::Event,
    session::TokenMeasure,
    store::{CommitResult, INLINE_BYTES_MAX, LoadedLane, LoadedRunInputs, RunInputs},
};

use crate::{
    harness::Harness,
    test_lane::{LONG_MS, TestLane, request, texts, worker},
};

async fn run_inputs(lane: &TestLane, job: JobId) -> Option<RunInputs> {
    let loaded = lane.store.load(&lane.key(), &[], Some(job)).await;
    let run_inputs = loaded.unwrap().run_inputs?.inline();
    let run_inputs = *run_inputs.expect("small run inputs should be loaded");
    let read = lane.store.run_inputs(&lane.key(), job).await.unwrap();
    let read = read.expect("the job is live");
    assert_eq!(read.request, run_inputs.request);
    assert_eq!(read.conversation, run_inputs.conversation);
    Some(run_inputs)
}

pub(crate) async fn contain_the_request_and_the_turns(engine: impl Harness) {
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

pub(crate) async fn exist_for_live_jobs_only(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let ended = lane.complete(&[]).await;
    assert!(run_inputs(&lane, ended).await.is_none());
    assert!(run_inputs(&lane, lane.new_job_id()).await.is_none());
    let live = lane.admit().await;
    assert!(run_inputs(&lane, live).await.is_some());
    assert!(run_inputs(&lane, ended).await.is_none());
}

pub(crate) async fn are_returned_with_a_conflict(engine: impl Harness) {
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
    let run_inputs = newer.run_inputs.unwrap().inline().unwrap();
    assert_eq!(run_inputs.request, request(job));
    assert_eq!(texts(&run_inputs.conversation.turns), ["before"]);
}

pub(crate) async fn are_returned_by_the_commit_that_needs_them(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    let measure = TokenMeasure {
        sent_bytes: 1_200,
        input_tokens: 300,
    };
    lane.token_measure = Some(measure);
    lane.complete(&["before"]).await;
    lane.token_measure = None;
    let first = lane.admit().await;
    let stale = lane.load(&[]).await;
    let claim = |job| Event::Claim {
        job,
        worker: worker("worker-1"),
        repeated_fence: None,
        limit_ms: LONG_MS,
    };
    let build = |base: &LoadedLane, job| {
        let (mut commit, _) = lane.build_commit(base, &claim(job), vec![]).unwrap();
        commit.run_inputs_of = Some(job);
        commit.needs_run_inputs = true;
        commit
    };
    lane.admit().await;

    // The commit is built on an outdated lane.
    let commit = build(&stale, first);
    let CommitResult::Conflict(newer) = lane.store.commit(&commit).await.unwrap() else {
        panic!("the commit should be a conflict, because the lane has changed");
    };
    let inline = newer.run_inputs.clone().unwrap().inline().unwrap();
    assert_eq!(inline.request, request(first));

    let commit = build(&newer, first);
    let CommitResult::Done(Some(LoadedRunInputs::Inline(run_inputs))) =
        lane.store.commit(&commit).await.unwrap()
    else {
        panic!("the commit should succeed, because the lane has not changed");
    };
    assert_eq!(run_inputs.meta.id, first);
    assert_eq!(run_inputs.request, request(first));
    assert_eq!(texts(&run_inputs.conversation.turns), ["before"]);
    assert_eq!(run_inputs.conversation.token_measure, Some(measure));
    assert_eq!(lane.load(&[]).await.lane, commit.next);

    // The commit is repeated, as after a lost response. The head runs now, so its run inputs are left out.
    let CommitResult::Conflict(own) = lane.store.commit(&commit).await.unwrap() else {
        panic!("the commit should be a conflict, because it was made before");
    };
    assert_eq!(own.version, Some(commit.version));
    assert!(matches!(
        own.run_inputs,
        Some(LoadedRunInputs::LeftOut { .. })
    ));

    let alone = TestLane::without_session(&engine.store());
    let job = alone.admit().await;
    let base = alone.load(&[]).await;
    let (mut commit, _) = alone.build_commit(&base, &claim(job), vec![]).unwrap();
    commit.run_inputs_of = Some(job);
    commit.needs_run_inputs = true;
    let CommitResult::Done(Some(LoadedRunInputs::Inline(run_inputs))) =
        alone.store.commit(&commit).await.unwrap()
    else {
        panic!("the commit should succeed, because the lane has not changed");
    };
    assert_eq!(run_inputs.request, request(job));
    assert!(run_inputs.conversation.turns.is_empty());
}

pub(crate) async fn if_large_are_returned_by_no_commit(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let large = "x".repeat(usize::try_from(INLINE_BYTES_MAX).unwrap());
    lane.complete(&[&large]).await;
    let job = lane.admit().await;
    let base = lane.load(&[]).await;
    let claim = Event::Claim {
        job,
        worker: worker("worker-1"),
        repeated_fence: None,
        limit_ms: LONG_MS,
    };
    let (mut commit, _) = lane.build_commit(&base, &claim, vec![]).unwrap();
    commit.run_inputs_of = Some(job);
    commit.needs_run_inputs = true;
    let CommitResult::Conflict(found) = lane.store.commit(&commit).await.unwrap() else {
        panic!("the commit should be a conflict, because it returns no large run inputs");
    };
    assert_eq!(found.version, base.version);
    assert_eq!(found.lane, base.lane);
    let Some(LoadedRunInputs::LeftOut { bytes }) = found.run_inputs else {
        panic!("large run inputs should be left out");
    };
    assert!(bytes > INLINE_BYTES_MAX);
    assert_eq!(lane.load(&[]).await.lane, base.lane, "nothing is written");

    commit.needs_run_inputs = false;
    let result = lane.store.commit(&commit).await.unwrap();
    assert!(matches!(result, CommitResult::Done(None)));
}

pub(crate) async fn without_a_session_have_no_turns(engine: impl Harness) {
    let lane = TestLane::without_session(&engine.store());
    let job = lane.admit().await;
    let run_inputs = run_inputs(&lane, job).await.unwrap();
    assert_eq!(run_inputs.meta.session, None);
    assert!(run_inputs.conversation.turns.is_empty());
    assert_eq!(run_inputs.conversation.token_measure, None);
}

pub(crate) async fn are_left_out_of_a_load_if_they_are_large_or_the_head_runs(
    engine: impl Harness,
) {
    let lane = TestLane::session(&engine.store(), "s");
    let large = "x".repeat(usize::try_from(INLINE_BYTES_MAX).unwrap());
    lane.complete(&["small", &large]).await;
    let job = lane.admit().await;
    let load = async || lane.store.load(&lane.key(), &[], Some(job)).await.unwrap();
    let Some(LoadedRunInputs::LeftOut { bytes }) = load().await.run_inputs else {
        panic!("large run inputs should be left out");
    };
    let read = lane.store.run_inputs(&lane.key(), job).await.unwrap();
    let read = read.unwrap();
    assert_eq!(read.request, request(job));
    assert_eq!(texts(&read.conversation.turns), ["small", &large]);
    let turns = read.conversation.turns.iter();
    let turns_bytes: usize = turns.map(forebay_shared::turn::Turn::json_bytes).sum();
    let sizes = lane.store.request_bytes(&[job, lane.new_job_id()]).await;
    let sizes = sizes.unwrap();
    assert_eq!(bytes, turns_bytes as u64 + sizes[0]);
    assert_eq!(sizes[1], 0);

    let small = TestLane::session(&engine.store(), "t");
    let job = small.admit().await;
    small.claim(job, "worker-1").await;
    let loaded = small.store.load(&small.key(), &[], Some(job)).await;
    let run_inputs = loaded.unwrap().run_inputs;
    assert!(matches!(run_inputs, Some(LoadedRunInputs::LeftOut { .. })));
    let none = small.new_job_id();
    let read = small.store.run_inputs(&small.key(), none).await.unwrap();
    assert!(read.is_none());
}
