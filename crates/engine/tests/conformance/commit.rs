//! Commits: all or nothing, by compare-and-set.

use forebay_shared::{
    ids::TenantId,
    lane::Event,
    store::{CommitResult, Counts, LoadedLane, SessionRemoval, Store},
    time::TimeMs,
};

use crate::{
    harness::Harness,
    test_lane::{LONG_MS, TestLane, turns},
};

fn expect_conflict(result: CommitResult) -> LoadedLane {
    match result {
        CommitResult::Conflict(newer) => *newer,
        CommitResult::Done(_) => panic!("the commit should be a conflict"),
    }
}

async fn timer_count(store: &dyn Store) -> usize {
    let end = store.now().plus_ms(10 * LONG_MS);
    store.due_timers(end, 1_000).await.unwrap().len()
}

pub(crate) async fn reads_back_what_was_committed(engine: impl Harness) {
    for lane in [
        TestLane::session(&engine.store(), "s"),
        TestLane::without_session(&engine.store()),
    ] {
        assert_eq!(lane.load(&[]).await.version, None);
        let event = Event::Admit(lane.admission(lane.new_job_id()));
        let (commit, _) = lane
            .build_commit(&lane.load(&[]).await, &event, vec![])
            .unwrap();
        let result = lane.store.commit(&commit).await.unwrap();
        assert!(matches!(result, CommitResult::Done(_)));
        let loaded = lane.load(&[event.job()]).await;
        assert_eq!(loaded.lane, commit.next);
        assert_eq!(loaded.version, Some(commit.version));
        assert_eq!(loaded.outcomes, []);
    }
}

pub(crate) async fn a_stale_commit_gets_the_newer_lane_and_writes_nothing(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let stale = lane.load(&[]).await;
    let first = lane.admit().await;
    let newer = lane.load(&[]).await;

    let refused_job = lane.new_job_id();
    let event = Event::Admit(lane.admission(refused_job));
    let (commit, _) = lane.build_commit(&stale, &event, turns(&["lost"])).unwrap();
    let before = counts(&lane).await;
    let found = expect_conflict(lane.store.commit(&commit).await.unwrap());
    assert_eq!(found.lane, newer.lane);
    assert_eq!(found.version, newer.version);
    assert_eq!(found.lane.entries.len(), 1);
    assert_eq!(found.lane.entries[0].job, first);

    assert_eq!(counts(&lane).await, before);
    assert_eq!(timer_count(lane.store.as_ref()).await, 1);
    let record = lane.store.job(&lane.tenant, refused_job).await.unwrap();
    assert!(record.is_none());
    assert!(lane.read_session(LONG_MS).await.unwrap().turns.is_empty());
}

async fn counts(lane: &TestLane) -> Counts {
    lane.store.counts().await.unwrap()
}

pub(crate) async fn a_repeated_commit_finds_its_own_version(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let event = Event::Admit(lane.admission(lane.new_job_id()));
    let (commit, _) = lane
        .build_commit(&lane.load(&[]).await, &event, vec![])
        .unwrap();
    assert!(matches!(
        lane.store.commit(&commit).await.unwrap(),
        CommitResult::Done(_)
    ));
    let counts_after_one = counts(&lane).await;
    let found = expect_conflict(lane.store.commit(&commit).await.unwrap());
    assert_eq!(found.version, Some(commit.version));
    assert_eq!(found.lane, commit.next);
    assert_eq!(counts(&lane).await, counts_after_one);
}

pub(crate) async fn one_of_several_concurrent_commits_succeeds(engine: impl Harness) {
    const COMMITS: usize = 16;
    let lane = TestLane::session(&engine.store(), "s");
    for round in 0..5 {
        let loaded = lane.load(&[]).await;
        let mut commits = tokio::task::JoinSet::new();
        for _ in 0..COMMITS {
            let event = Event::Admit(lane.admission(lane.new_job_id()));
            let (commit, _) = lane.build_commit(&loaded, &event, vec![]).unwrap();
            let store = lane.store.clone();
            commits.spawn(async move { (commit.version, store.commit(&commit).await.unwrap()) });
        }
        let mut winner = None;
        let mut seen_by_others = Vec::new();
        for (version, result) in commits.join_all().await {
            match result {
                CommitResult::Done(_) => {
                    assert_eq!(winner.replace(version), None, "two commits succeeded");
                }
                CommitResult::Conflict(newer) => seen_by_others.push(newer.version),
            }
        }
        assert!(winner.is_some(), "no commit succeeded");
        assert_eq!(seen_by_others, vec![winner; COMMITS - 1]);
        assert_eq!(lane.load(&[]).await.lane.entries.len(), round + 1);
    }
    assert_eq!(counts(&lane).await.live(), 5);
}

pub(crate) async fn a_job_with_a_record_is_not_admitted_again(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let session = lane.session.clone().unwrap();
    let job = lane.complete(&["hello"]).await;
    let removed = lane.store.remove_session(&lane.tenant, &session).await;
    assert_eq!(removed.unwrap(), SessionRemoval::Removed);
    let before = counts(&lane).await;

    // A gateway that has not read the record sees an empty lane. The version that it expects is the lane's version, so
    // only the record shows the conflict.
    let loaded_without_outcome = LoadedLane::default();
    let event = Event::Admit(lane.admission(job));
    let (commit, _) = lane
        .build_commit(&loaded_without_outcome, &event, turns(&["again"]))
        .unwrap();
    let found = expect_conflict(lane.store.commit(&commit).await.unwrap());
    assert_eq!(found.version, None);
    assert!(
        found.outcome(job).is_some(),
        "the conflict has no outcome of the job: {found:?}"
    );

    assert_eq!(lane.load(&[]).await.version, None);
    assert_eq!(counts(&lane).await, before);
    assert_eq!(timer_count(lane.store.as_ref()).await, 0);
    assert_eq!(lane.read_session(LONG_MS).await, None);
}

pub(crate) async fn an_empty_lane_has_no_document(engine: impl Harness) {
    for lane in [
        TestLane::session(&engine.store(), "s"),
        TestLane::without_session(&engine.store()),
    ] {
        let job = lane.complete(&[]).await;
        let loaded = lane.load(&[job]).await;
        assert!(loaded.lane.is_empty());
        assert_eq!(loaded.version, None);
        assert!(loaded.outcome(job).is_some());
    }
}

pub(crate) async fn tenants_and_sessions_are_separate(engine: impl Harness) {
    let store = engine.store();
    let other = TenantId::parse("other").unwrap();
    let lanes = [
        TestLane::session(&store, "s"),
        TestLane::session(&store, "t"),
        TestLane::of_tenant(&store, other, Some("s")),
    ];
    for (number, lane) in lanes.iter().enumerate() {
        lane.complete(&[&format!("of lane {number}")]).await;
    }
    for (number, lane) in lanes.iter().enumerate() {
        let session = lane.read_session(LONG_MS).await.unwrap();
        assert_eq!(session.turns, turns(&[&format!("of lane {number}")]));
        assert!(session.created_at > TimeMs(0));
    }
    assert_eq!(store.counts().await.unwrap().sessions, 3);
}
