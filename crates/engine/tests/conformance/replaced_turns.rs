//! Commits that replace the last turns of a session, and the numbers of turns.

use forebay_shared::{
    lane::Event,
    store::{CommitResult, LoadedRunInputs, StoreError, TurnRange},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::{
    harness::Harness,
    test_lane::{LONG_MS, TestLane, texts, turns},
};

/// The numbers and texts of all turns, read at once and in pages. Both must be the same.
async fn numbered(lane: &TestLane) -> Vec<(u64, String)> {
    let session = lane.session.clone().expect("the lane has a session");
    let read = async |from, turns_max| {
        let range = TurnRange {
            from,
            turns_max,
            bytes_max: 1_000_000,
        };
        let read = lane.store.session_turns(&lane.tenant, &session, range);
        let turns = read.await.expect("the store responds").into_iter();
        let turns = turns.map(|turn| {
            let text = texts(&[turn.parse().expect("a turn")]).remove(0);
            (turn.number, text)
        });
        turns.collect::<Vec<_>>()
    };
    let all = read(0, 1_000).await;
    let mut paged: Vec<(u64, String)> = Vec::new();
    loop {
        let from = paged.last().map_or(0, |(number, _)| number + 1);
        let page = read(from, 2).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all, "the pages differ from one read of all turns");
    all
}

/// The numbers and texts of the turns that a worker gets.
async fn run_inputs(lane: &TestLane) -> Vec<(u64, String)> {
    let job = lane.admit().await;
    let key = lane.key();
    let loaded = lane.store.load(&key, &[], Some(job)).await;
    let loaded = loaded.expect("the store responds").run_inputs;
    let Some(LoadedRunInputs::Inline(inline)) = loaded else {
        panic!("small run inputs should be loaded: {loaded:?}");
    };
    let read = lane.store.run_inputs(&key, job).await;
    let read = read.expect("the store responds").expect("a live job");
    assert_eq!(read.conversation, inline.conversation);
    lane.apply(&Event::Cancel { job }).await;
    let texts = texts(&read.conversation.turns);
    read.conversation.numbers.into_iter().zip(texts).collect()
}

fn numbered_texts(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    let turn = |(number, text): &(u64, &str)| (*number, (*text).to_owned());
    expected.iter().map(turn).collect()
}

/// Completes a job whose turns replace others.
async fn replace(lane: &TestLane, from: u64, append: &[&str]) {
    let mut lane = lane.clone();
    let job = lane.admit().await;
    let fence = lane.claim(job, "worker-1").await;
    lane.replace_from_turn = Some(from);
    lane.finish(job, fence, append).await;
}

pub(crate) async fn are_removed_in_the_commit_that_appends_others(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    lane.complete(&["a", "b", "c", "d"]).await;
    replace(&lane, 2, &["C", "D", "E"]).await;
    let expected = numbered_texts(&[(0, "a"), (1, "b"), (4, "C"), (5, "D"), (6, "E")]);
    assert_eq!(numbered(&lane).await, expected);
    assert_eq!(run_inputs(&lane).await, expected);

    replace(&lane, 5, &["x"]).await;
    replace(&lane, 7, &["y"]).await;
    lane.complete(&["z"]).await;
    let expected = numbered_texts(&[(0, "a"), (1, "b"), (4, "C"), (8, "y"), (9, "z")]);
    assert_eq!(numbered(&lane).await, expected);

    replace(&lane, 0, &["new"]).await;
    assert_eq!(numbered(&lane).await, numbered_texts(&[(10, "new")]));
    let session = lane.session.clone().expect("the lane has a session");
    let info = lane.store.session_info(&lane.tenant, &session, LONG_MS);
    let info = info
        .await
        .expect("the store responds")
        .expect("the session");
    assert_eq!((info.first_turn, info.next_turn), (10, 11));
    let bytes = serde_json::to_string(&turns(&["new"])[0])
        .expect("JSON")
        .len();
    assert_eq!((info.turn_count, info.turns_bytes), (1, bytes as u64));
}

pub(crate) async fn that_are_gone_make_the_commit_fail(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    lane.bounds.turns_max = 3;
    lane.complete(&["a", "b", "c", "d"]).await;
    replace(&lane, 2, &["C", "D"]).await;
    let before = numbered_texts(&[(1, "b"), (4, "C"), (5, "D")]);
    assert_eq!(numbered(&lane).await, before);
    let job = lane.admit().await;
    let fence = lane.claim(job, "worker-1").await;
    let finish = TestLane::finish_event(job, fence, None);
    for gone in [0, 2, 3, 6, u64::from(u32::MAX)] {
        let mut replacing = lane.clone();
        replacing.replace_from_turn = Some(gone);
        let loaded = lane.load(&[job]).await;
        let (commit, _) = replacing
            .build_commit(&loaded, &finish, turns(&["new"]))
            .expect("the rules allow it");
        let result = lane.store.commit(&commit).await;
        assert!(
            matches!(result, Err(StoreError::TurnGone)),
            "{gone}: {result:?}"
        );
        assert_eq!(lane.load(&[job]).await.version, loaded.version, "{gone}");
    }
    assert_eq!(numbered(&lane).await, before);

    // A commit whose response was lost is found again, although the turn is gone now.
    lane.replace_from_turn = Some(4);
    let loaded = lane.load(&[job]).await;
    let (commit, _) = lane
        .build_commit(&loaded, &finish, turns(&["new"]))
        .expect("the rules allow it");
    let done = lane.store.commit(&commit).await;
    assert!(matches!(done, Ok(CommitResult::Done(_))), "{done:?}");
    let repeated = lane.store.commit(&commit).await;
    assert!(
        matches!(repeated, Ok(CommitResult::Conflict(_))),
        "{repeated:?}"
    );
    let after = numbered_texts(&[(1, "b"), (6, "new")]);
    assert_eq!(numbered(&lane).await, after);
}

/// A model of the session: the turns that an engine must have.
#[derive(Default)]
struct Expected {
    turns: Vec<(u64, String)>,
    next: u64,
}

impl Expected {
    fn append(&mut self, texts: &[String]) {
        for text in texts {
            self.turns.push((self.next, text.clone()));
            self.next += 1;
        }
    }

    /// Drops the surplus turns, as every commit does, admissions included.
    fn trim(&mut self, turns_max: usize) {
        let surplus = self.turns.len().saturating_sub(turns_max);
        self.turns.drain(..surplus);
    }
}

pub(crate) async fn have_numbers_that_no_other_turn_gets(engine: impl Harness) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut lane = TestLane::session(&engine.store(), "s");
    let mut expected = Expected::default();
    for step in 0..60 {
        lane.bounds.turns_max = random.random_range(1..12);
        expected.trim(lane.bounds.turns_max);
        let texts = new_texts(&mut random, step);
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let replaced = (!expected.turns.is_empty() && random.random_bool(0.6))
            .then(|| random.random_range(0..expected.turns.len()));
        match replaced {
            Some(index) => {
                let from = expected.turns[index].0;
                expected.turns.truncate(index);
                replace(&lane, from, &borrowed).await;
            }
            None => drop(lane.complete(&borrowed).await),
        }
        expected.append(&texts);
        expected.trim(lane.bounds.turns_max);
        assert_eq!(numbered(&lane).await, expected.turns, "step {step}");
    }
    assert_eq!(run_inputs(&lane).await, expected.turns);
}

fn new_texts(random: &mut impl Rng, step: u32) -> Vec<String> {
    let count = random.random_range(1..5);
    (0..count).map(|turn| format!("{step}.{turn}")).collect()
}
