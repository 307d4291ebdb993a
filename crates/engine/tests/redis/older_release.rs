//! Deferred heads while processes of the release before this one run. Such a process takes a deferred head for one that waits
//! for its next try. Its commits leave the index of deferred heads as it is, and write no code of a deferred head.

use std::sync::Arc;

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::JobId,
    lane::{ClassCounts, Event},
    store::Store,
};
use servers::redis::{Redis, RedisOptions};

use crate::{connect, server, test_lane::TestLane};

fn account() -> AccountKey {
    AccountKey::of_provider("acme")
}

/// A server and a store with lanes that an older release can change.
struct OlderRelease {
    server: Redis,
    store: Arc<dyn Store>,
}

impl OlderRelease {
    async fn start() -> Self {
        let server = server(RedisOptions::default()).await;
        let store = connect(server.url()).await;
        Self { server, store }
    }

    /// Changes the document of a lane as a commit of the older release does. `edit` changes the entry of the head. `counts`
    /// is what the older release adds to the counts of jobs.
    async fn commit(
        &self,
        lane: &TestLane,
        code: &str,
        edit: impl FnOnce(&mut serde_json::Value),
        counts: &[(&str, &str)],
    ) {
        let partition = format!("fb:{{{:02x}}}:", lane.key().partition());
        let key = format!("{partition}l:{}", lane.key());
        let document = self.server.cli(&["GET", &key]).await.unwrap();
        let (first_line, json) = document.trim_end().split_once('\n').unwrap();
        let mut fields: Vec<&str> = first_line.split(';').take(7).collect();
        let version = uuid::Uuid::new_v4().simple().to_string();
        (fields[0], fields[1]) = (&version, code);
        let mut json: serde_json::Value = serde_json::from_str(json).unwrap();
        edit(&mut json["entries"][0]);
        let document = format!("{}\n{json}", fields.join(";"));
        self.server.cli(&["SET", &key, &document]).await.unwrap();
        for (letter, change) in counts {
            let field = format!("default|i|{letter}");
            let counts = format!("{partition}c");
            let change = ["HINCRBY", &counts, &field, change];
            self.server.cli(&change).await.unwrap();
        }
    }

    /// The jobs that wait for the account.
    async fn deferred(&self) -> Vec<JobId> {
        let heads = self
            .store
            .deferred_heads(&account(), Class::Interactive, 10)
            .await
            .unwrap();
        heads.into_iter().map(|head| head.job).collect()
    }

    /// The live jobs, and the number of heads that wait for the account.
    async fn counts(&self) -> (ClassCounts, u64) {
        let counts = self.store.counts().await.unwrap();
        let deferred = counts.deferred.iter().map(|count| count.heads).sum();
        (counts.class(Class::Interactive).live, deferred)
    }
}

/// The change of a head that `worker-1` claims.
fn claim(head: &mut serde_json::Value) {
    // The older release keeps fields of a state that it does not know.
    let mut fields = head["state"]["queued"].take();
    fields["worker"] = "worker-1".into();
    fields["until"] = 9_000_000_000_000_u64.into();
    fields.as_object_mut().unwrap().remove("not_before");
    head["state"] = serde_json::json!({ "running": fields });
    head["fence"] = 1.into();
    head["claimed"] = true.into();
}

#[tokio::test]
async fn outdated_entries_are_left_out_and_removed() {
    let older = OlderRelease::start().await;
    let mut lanes = Vec::new();
    for number in 0..20 {
        let lane = TestLane::session(&older.store, &format!("session-{number}"));
        let job = lane.admit_deferred(&account()).await;
        lanes.push((lane, job));
    }
    let (last, still_deferred) = lanes.pop().unwrap();
    for (lane, _) in &lanes {
        let counts = [("w", "-1"), ("f", "1")];
        older.commit(lane, "r", claim, &counts).await;
    }
    assert_eq!(older.counts().await.0.live(), 20);
    // A search within a limit finds a head behind outdated entries.
    let first = older
        .store
        .deferred_heads(&account(), Class::Interactive, 1)
        .await
        .unwrap();
    assert!(first.len() <= 1);
    assert_eq!(older.deferred().await, [still_deferred]);
    let expected = ClassCounts {
        in_flight: 19,
        provider_wait: 1,
        ..ClassCounts::default()
    };
    assert_eq!(older.counts().await, (expected, 1));
    last.apply(&Event::Cancel {
        job: still_deferred,
    })
    .await;
    assert_eq!(older.deferred().await, []);
    let expected = ClassCounts {
        provider_wait: 0,
        ..expected
    };
    assert_eq!(older.counts().await, (expected, 0));
}

#[tokio::test]
async fn a_lane_that_ended_leaves_the_index() {
    let older = OlderRelease::start().await;
    let lane = TestLane::session(&older.store, "s");
    lane.admit_deferred(&account()).await;
    let partition = format!("fb:{{{:02x}}}:", lane.key().partition());
    let key = format!("{partition}l:{}", lane.key());
    older.server.cli(&["DEL", &key]).await.unwrap();
    let counts = format!("{partition}c");
    let change = ["HINCRBY", &counts, "default|i|w", "-1"];
    older.server.cli(&change).await.unwrap();
    assert_eq!(older.deferred().await, []);
    assert_eq!(older.counts().await, (ClassCounts::default(), 0));
}

#[tokio::test]
async fn a_head_that_stays_deferred_is_found() {
    let older = OlderRelease::start().await;
    let lane = TestLane::session(&older.store, "s");
    let job = lane.admit_deferred(&account()).await;
    older.commit(&lane, "-", |_| {}, &[]).await;
    assert_eq!(older.deferred().await, [job]);
    let mut expected = ClassCounts {
        provider_wait: 1,
        ..ClassCounts::default()
    };
    assert_eq!(older.counts().await, (expected, 1));
    lane.apply(&Event::Resume { job }).await;
    assert_eq!(older.deferred().await, []);
    (expected.provider_wait, expected.ready) = (0, 1);
    assert_eq!(older.counts().await, (expected, 0));
}

#[tokio::test]
async fn a_retry_that_reads_as_a_deferral_is_counted_once() {
    let older = OlderRelease::start().await;
    let lane = TestLane::session(&older.store, "s");
    let job = lane.admit_deferred(&account()).await;
    lane.apply(&Event::Resume { job }).await;
    lane.claim(job, "worker-1").await;
    // The older release keeps `provider_wait` of an earlier deferral when it sets the time of the next try.
    let retry = |head: &mut serde_json::Value| {
        head["state"] = serde_json::json!({"queued": {
            "not_before": 9_000_000_000_000_u64,
            "provider_wait": {
                "account": account(),
                "error": {"code": "rate_limited", "message": "busy"},
            },
        }});
    };
    let counts = [("w", "1"), ("f", "-1")];
    older.commit(&lane, "-", retry, &counts).await;
    assert_eq!(older.deferred().await, []);
    lane.apply(&Event::Resume { job }).await;
    let expected = ClassCounts {
        ready: 1,
        ..ClassCounts::default()
    };
    assert_eq!(older.counts().await, (expected, 0));
}

#[tokio::test]
async fn an_outdated_entry_becomes_valid_again() {
    let older = OlderRelease::start().await;
    let lane = TestLane::session(&older.store, "s");
    let job = lane.admit_deferred(&account()).await;
    let counts = [("w", "-1"), ("f", "1")];
    older.commit(&lane, "r", claim, &counts).await;
    // A process of this release settles the attempt of the older worker.
    lane.defer(job, Some(1), &account()).await;
    assert_eq!(older.deferred().await, [job]);
    let expected = ClassCounts {
        provider_wait: 1,
        ..ClassCounts::default()
    };
    assert_eq!(older.counts().await, (expected, 1));
}

/// An account of a newer release is not read as if it were one of this release.
#[tokio::test]
async fn an_account_of_a_newer_release_is_an_error() {
    let older = OlderRelease::start().await;
    let version = uuid::Uuid::new_v4().simple();
    let account = format!("{version}\n{{\"v\":2}}");
    let set = ["HSET", "fb:accounts", "acme", &account];
    older.server.cli(&set).await.unwrap();
    let error = older.store.accounts().await.unwrap_err();
    assert!(
        matches!(error, forebay_shared::store::StoreError::Newer(_)),
        "unexpected error: {error:?}"
    );
}
