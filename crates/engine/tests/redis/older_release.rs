//! Deferred heads while processes of an older release run. Such a process treats a deferred head as one that waits for its next
//! try. Its commits do not change the index of deferred heads, and never write the code of a deferred head (`d`).

use std::sync::Arc;

use forebay_shared::{
    account::{Account, AccountKey},
    class::Class,
    ids::JobId,
    lane::{ClassCounts, Event},
    store::{AccountSwap, AccountVersion, Store, StoreError},
};
use servers::redis::{Redis, RedisOptions};

use crate::{connect, server, test_lane::TestLane};

fn account() -> AccountKey {
    AccountKey::of_provider("acme")
}

/// A fleet of two releases: a server, a store of this release, and [`commit_as_older`](Self::commit_as_older), which changes a lane
/// as an older release does.
struct MixedFleet {
    server: Redis,
    store: Arc<dyn Store>,
}

impl MixedFleet {
    async fn start() -> Self {
        let server = server(RedisOptions::default()).await;
        let store = connect(server.url()).await;
        Self { server, store }
    }

    /// Changes the document of a lane as a commit of the older release does. `edit` changes the entry of the head. `counts`
    /// is what the older release adds to the counts of jobs.
    async fn commit_as_older(
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
    let fleet = MixedFleet::start().await;
    let mut lanes = Vec::new();
    for number in 0..20 {
        let lane = TestLane::session(&fleet.store, &format!("session-{number}"));
        let job = lane.admit_deferred(&account()).await;
        lanes.push((lane, job));
    }
    let (last, still_deferred) = lanes.pop().unwrap();
    for (lane, _) in &lanes {
        let counts = [("w", "-1"), ("f", "1")];
        fleet.commit_as_older(lane, "r", claim, &counts).await;
    }
    assert_eq!(fleet.counts().await.0.live(), 20);
    // A search within a limit finds a head behind outdated entries.
    let first = fleet
        .store
        .deferred_heads(&account(), Class::Interactive, 1)
        .await
        .unwrap();
    assert!(first.len() <= 1);
    assert_eq!(fleet.deferred().await, [still_deferred]);
    let expected = ClassCounts {
        in_flight: 19,
        provider_wait: 1,
        ..ClassCounts::default()
    };
    assert_eq!(fleet.counts().await, (expected, 1));
    last.apply(&Event::Cancel {
        job: still_deferred,
    })
    .await;
    assert_eq!(fleet.deferred().await, []);
    let expected = ClassCounts {
        provider_wait: 0,
        ..expected
    };
    assert_eq!(fleet.counts().await, (expected, 0));
}

#[tokio::test]
async fn entries_that_cannot_be_read_hide_no_others() {
    let fleet = MixedFleet::start().await;
    let mut lanes = Vec::new();
    for number in 0..30 {
        let lane = TestLane::session(&fleet.store, &format!("session-{number}"));
        lanes.push((lane.key(), lane.admit_deferred(&account()).await));
    }
    // The lanes of the first heads are damaged, or of a newer release.
    for (number, (lane, _)) in lanes.iter().enumerate().take(25) {
        let key = format!("fb:{{{:02x}}}:l:{lane}", lane.partition());
        let document = match number % 2 {
            0 => "damaged",
            _ => "0123456789abcdef0123456789abcdef;x;1;;;;\n{\"v\": 99}",
        };
        fleet.server.cli(&["SET", &key, document]).await.unwrap();
    }
    let readable: Vec<_> = lanes.iter().skip(25).map(|(_, job)| *job).collect();
    assert_eq!(fleet.deferred().await, readable);
}

#[tokio::test]
async fn a_lane_that_ended_leaves_the_index() {
    let fleet = MixedFleet::start().await;
    let lane = TestLane::session(&fleet.store, "s");
    lane.admit_deferred(&account()).await;
    let partition = format!("fb:{{{:02x}}}:", lane.key().partition());
    let key = format!("{partition}l:{}", lane.key());
    fleet.server.cli(&["DEL", &key]).await.unwrap();
    let counts = format!("{partition}c");
    let change = ["HINCRBY", &counts, "default|i|w", "-1"];
    fleet.server.cli(&change).await.unwrap();
    assert_eq!(fleet.deferred().await, []);
    assert_eq!(fleet.counts().await, (ClassCounts::default(), 0));
}

#[tokio::test]
async fn a_head_that_stays_deferred_is_found() {
    let fleet = MixedFleet::start().await;
    let lane = TestLane::session(&fleet.store, "s");
    let job = lane.admit_deferred(&account()).await;
    fleet.commit_as_older(&lane, "-", |_| {}, &[]).await;
    assert_eq!(fleet.deferred().await, [job]);
    let mut expected = ClassCounts {
        provider_wait: 1,
        ..ClassCounts::default()
    };
    assert_eq!(fleet.counts().await, (expected, 1));
    lane.apply(&Event::Resume { job }).await;
    assert_eq!(fleet.deferred().await, []);
    (expected.provider_wait, expected.ready) = (0, 1);
    assert_eq!(fleet.counts().await, (expected, 0));
}

#[tokio::test]
async fn a_retry_that_reads_as_a_deferral_is_counted_once() {
    let fleet = MixedFleet::start().await;
    let lane = TestLane::session(&fleet.store, "s");
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
    fleet.commit_as_older(&lane, "-", retry, &counts).await;
    assert_eq!(fleet.deferred().await, []);
    lane.apply(&Event::Resume { job }).await;
    let expected = ClassCounts {
        ready: 1,
        ..ClassCounts::default()
    };
    assert_eq!(fleet.counts().await, (expected, 0));
}

#[tokio::test]
async fn an_outdated_entry_becomes_valid_again() {
    let fleet = MixedFleet::start().await;
    let lane = TestLane::session(&fleet.store, "s");
    let job = lane.admit_deferred(&account()).await;
    let counts = [("w", "-1"), ("f", "1")];
    fleet.commit_as_older(&lane, "r", claim, &counts).await;
    // A process of this release settles the attempt of the older worker.
    lane.defer(job, Some(1), &account()).await;
    assert_eq!(fleet.deferred().await, [job]);
    let expected = ClassCounts {
        provider_wait: 1,
        ..ClassCounts::default()
    };
    assert_eq!(fleet.counts().await, (expected, 1));
}

/// An older release does not count the jobs behind a head. The count is right again once no head waits.
#[tokio::test]
async fn a_wrong_count_of_jobs_behind_a_head_ends_with_the_last_head() {
    let fleet = MixedFleet::start().await;
    let waiting_jobs = async || {
        let counts = fleet.store.counts().await.unwrap().deferred;
        counts.iter().map(|count| count.jobs).sum::<u64>()
    };
    let jobs_behind = |lane: TestLane| async move {
        for _ in 0..3 {
            lane.admit().await;
        }
    };
    // Both lanes are in one partition.
    let names = (0..).map(|number| format!("session-{number}"));
    let mut lanes = names.map(|name| TestLane::session(&fleet.store, &name));
    let mut lane_of_partition = || lanes.find(|lane| lane.key().partition() == 7).unwrap();
    let (one, other) = (lane_of_partition(), lane_of_partition());
    let of_other = other.admit_deferred(&account()).await;

    // The older release claims a deferred head and leaves the counts as they are.
    let job = one.admit_deferred(&account()).await;
    jobs_behind(one.clone()).await;
    assert_eq!(waiting_jobs().await, 5);
    let counts = [("w", "-1"), ("f", "1")];
    fleet.commit_as_older(&one, "r", claim, &counts).await;
    assert_eq!(fleet.deferred().await, [of_other]);
    assert_eq!(waiting_jobs().await, 1);

    // The data of an older release has no such count. Then each head counts as one waiting job.
    jobs_behind(other.clone()).await;
    let partition = format!("fb:{{{:02x}}}:", other.key().partition());
    let behind = format!("{partition}db");
    fleet.server.cli(&["DEL", &behind]).await.unwrap();
    assert_eq!(waiting_jobs().await, 1);
    other.admit().await;
    assert_eq!(waiting_jobs().await, 2);
    other.apply(&Event::Resume { job: of_other }).await;
    assert_eq!(waiting_jobs().await, 0);
    one.defer(job, Some(1), &account()).await;
    assert_eq!(waiting_jobs().await, 4);

    // A count that is too high is removed with the last head.
    let too_high = ["HINCRBY", &behind, "i|acme", "7"];
    fleet.server.cli(&too_high).await.unwrap();
    assert_eq!(waiting_jobs().await, 11);
    one.apply(&Event::Resume { job }).await;
    assert_eq!(waiting_jobs().await, 0);
    let left = fleet.server.cli(&["EXISTS", &behind]).await.unwrap();
    assert_eq!(left.trim(), "0");
}

/// The first releases with deferred heads wrote no field `CLAIMED` into the first line of a lane's document.
#[tokio::test]
async fn a_first_line_without_claimed_is_replaced_by_the_document() {
    let fleet = MixedFleet::start().await;
    let lane = TestLane::session(&fleet.store, "s");
    let job = lane.admit().await;
    let fence = lane.claim(job, "worker-1").await;
    lane.defer(job, Some(fence), &account()).await;
    let partition = format!("fb:{{{:02x}}}:", lane.key().partition());
    let key = format!("{partition}l:{}", lane.key());
    let document = fleet.server.cli(&["GET", &key]).await.unwrap();
    let without = document.trim_end().replacen(";1;i|acme\n", ";i|acme\n", 1);
    assert_ne!(without, document.trim_end());
    fleet.server.cli(&["SET", &key, &without]).await.unwrap();
    let heads = fleet
        .store
        .deferred_heads(&account(), Class::Interactive, 10)
        .await
        .unwrap();
    let heads: Vec<_> = heads.iter().map(|head| (head.job, head.claimed)).collect();
    assert_eq!(heads, [(job, true)]);
}

/// The value of an account in Redis, with this document.
fn stored_account(document: &str) -> String {
    format!("{}\n{document}", uuid::Uuid::new_v4().simple())
}

/// Accounts of a newer release and broken accounts are reported beside the readable ones. A swap that expects no account of such
/// a name changes nothing.
#[tokio::test]
async fn accounts_that_cannot_be_read_hide_no_others_and_are_not_overwritten() {
    let fleet = MixedFleet::start().await;
    let swap = |name: &str| AccountSwap {
        key: AccountKey::of_provider(name),
        expected: None,
        version: AccountVersion::new_v4(),
        next: Some(Account::default()),
    };
    let readable = swap("readable");
    assert!(fleet.store.swap_account(&readable).await.unwrap());
    let values = [
        ("newer", stored_account(r#"{"v":2,"phase":"unknown"}"#)),
        ("invalid", stored_account(r#"{"phase":7}"#)),
        ("no_version", "x".to_owned()),
        ("empty", String::new()),
    ];
    for (name, value) in &values {
        let set = ["HSET", "fb:accounts", name, value];
        fleet.server.cli(&set).await.unwrap();
    }
    let mut read = fleet.store.accounts().await.unwrap();
    let keys: Vec<&AccountKey> = read.accounts.iter().map(|stored| &stored.key).collect();
    assert_eq!(keys, [&readable.key]);
    read.unreadable.sort_by(|a, b| a.key.cmp(&b.key));
    let mut names = values.each_ref().map(|(name, _)| *name);
    names.sort_unstable();
    let unreadable: Vec<&str> = read.unreadable.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(unreadable, names);
    for account in &read.unreadable {
        let is_newer = matches!(account.error, StoreError::Newer(_));
        assert_eq!(is_newer, account.key.as_str() == "newer", "{account:?}");
    }
    for (name, value) in &values {
        assert!(!fleet.store.swap_account(&swap(name)).await.unwrap());
        let stored = fleet.server.cli(&["HGET", "fb:accounts", name]).await;
        assert_eq!(stored.unwrap().trim_end(), value);
    }
}
