//! Commits: all or nothing, by compare-and-set.

use forebay_shared::{
    ids::TenantId,
    lane::Event,
    store::{CommitResult, Counts, LoadedLane, SessionRemoval, Store},
    time::TimeMs,
};

use crate::{
    drive::{Driver, LONG_MS, turns},
    harness::Harness,
};

fn conflict(committed: CommitResult) -> LoadedLane {
    match committed {
        CommitResult::Conflict(newer) => *newer,
        CommitResult::Done => panic!("the commit should be a conflict"),
    }
}

async fn timers(store: &dyn Store) -> usize {
    let end = store.now().plus_ms(10 * LONG_MS);
    store.due_timers(end, 1_000).await.unwrap().len()
}

pub(crate) async fn reads_back_what_was_committed(engine: impl Harness) {
    for lane in [
        Driver::session(&engine.store(), "s"),
        Driver::solo(&engine.store()),
    ] {
        assert_eq!(lane.load(&[]).await.version, None);
        let event = Event::Admit(lane.admission(lane.job()));
        let (commit, _) = lane.commit(&lane.load(&[]).await, &event, vec![]).unwrap();
        let committed = lane.store.commit(&commit).await.unwrap();
        assert!(matches!(committed, CommitResult::Done));
        let loaded = lane.load(&[event.job()]).await;
        assert_eq!(loaded.lane, commit.next);
        assert_eq!(loaded.version, Some(commit.version));
        assert_eq!(loaded.outcomes, []);
    }
}

pub(crate) async fn a_stale_commit_gets_the_newer_lane_and_writes_nothing(engine: impl Harness) {
    let lane = Driver::session(&engine.store(), "s");
    let stale = lane.load(&[]).await;
    let first = lane.admit().await;
    let newer = lane.load(&[]).await;

    let late = lane.job();
    let event = Event::Admit(lane.admission(late));
    let (commit, _) = lane.commit(&stale, &event, turns(&["lost"])).unwrap();
    let before = counts(&lane).await;
    let found = conflict(lane.store.commit(&commit).await.unwrap());
    assert_eq!(found.lane, newer.lane);
    assert_eq!(found.version, newer.version);
    assert_eq!(found.lane.entries.len(), 1);
    assert_eq!(found.lane.entries[0].job, first);

    assert_eq!(counts(&lane).await, before);
    assert_eq!(timers(lane.store.as_ref()).await, 1);
    assert!(lane.store.job(&lane.tenant, late).await.unwrap().is_none());
    assert!(lane.read(LONG_MS).await.unwrap().turns.is_empty());
}

async fn counts(lane: &Driver) -> Counts {
    lane.store.counts().await.unwrap()
}

pub(crate) async fn a_repeated_commit_finds_its_own_version(engine: impl Harness) {
    let lane = Driver::session(&engine.store(), "s");
    let event = Event::Admit(lane.admission(lane.job()));
    let (commit, _) = lane.commit(&lane.load(&[]).await, &event, vec![]).unwrap();
    assert!(matches!(
        lane.store.commit(&commit).await.unwrap(),
        CommitResult::Done
    ));
    let once = counts(&lane).await;
    let found = conflict(lane.store.commit(&commit).await.unwrap());
    assert_eq!(found.version, Some(commit.version));
    assert_eq!(found.lane, commit.next);
    assert_eq!(counts(&lane).await, once);
}

pub(crate) async fn exactly_one_of_racing_commits_wins(engine: impl Harness) {
    const RACERS: usize = 16;
    let lane = Driver::session(&engine.store(), "s");
    for round in 0..5 {
        let loaded = lane.load(&[]).await;
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..RACERS {
            let event = Event::Admit(lane.admission(lane.job()));
            let (commit, _) = lane.commit(&loaded, &event, vec![]).unwrap();
            let store = lane.store.clone();
            racers.spawn(async move { (commit.version, store.commit(&commit).await.unwrap()) });
        }
        let mut winner = None;
        let mut seen_by_others = Vec::new();
        for (version, committed) in racers.join_all().await {
            match committed {
                CommitResult::Done => {
                    assert_eq!(winner.replace(version), None, "two commits succeeded");
                }
                CommitResult::Conflict(newer) => seen_by_others.push(newer.version),
            }
        }
        assert!(winner.is_some(), "no commit succeeded");
        assert_eq!(seen_by_others, vec![winner; RACERS - 1]);
        assert_eq!(lane.load(&[]).await.lane.entries.len(), round + 1);
    }
    assert_eq!(counts(&lane).await.live(), 5);
}

pub(crate) async fn a_job_with_a_record_is_not_admitted_again(engine: impl Harness) {
    let lane = Driver::session(&engine.store(), "s");
    let session = lane.session.clone().unwrap();
    let job = lane.complete(&["hello"]).await;
    let removed = lane.store.remove_session(&lane.tenant, &session).await;
    assert_eq!(removed.unwrap(), SessionRemoval::Removed);
    let before = counts(&lane).await;

    // A gateway that has not read the record commits this: the lane is empty, and its version is the expected one.
    let unaware = LoadedLane::default();
    let event = Event::Admit(lane.admission(job));
    let (commit, _) = lane.commit(&unaware, &event, turns(&["again"])).unwrap();
    let found = conflict(lane.store.commit(&commit).await.unwrap());
    assert_eq!(found.version, None);
    assert!(found.outcome(job).is_some(), "{found:?}");

    assert_eq!(lane.load(&[]).await.version, None);
    assert_eq!(counts(&lane).await, before);
    assert_eq!(timers(lane.store.as_ref()).await, 0);
    assert_eq!(lane.read(LONG_MS).await, None);
}

pub(crate) async fn an_empty_lane_has_no_document(engine: impl Harness) {
    for lane in [
        Driver::session(&engine.store(), "s"),
        Driver::solo(&engine.store()),
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
        Driver::session(&store, "s"),
        Driver::session(&store, "t"),
        Driver::of(&store, other, Some("s")),
    ];
    for (n, lane) in lanes.iter().enumerate() {
        lane.complete(&[&format!("of lane {n}")]).await;
    }
    for (n, lane) in lanes.iter().enumerate() {
        let session = lane.read(LONG_MS).await.unwrap();
        assert_eq!(session.turns, turns(&[&format!("of lane {n}")]));
        assert!(session.created_at > TimeMs(0));
    }
    assert_eq!(store.counts().await.unwrap().sessions, 3);
}
