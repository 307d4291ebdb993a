//! The list of a tenant's jobs.

use std::{collections::BTreeSet, sync::Arc};

use forebay_shared::{
    ids::{JobId, SessionId, TenantId},
    lane::Event,
    store::{JobRemoval, ListPosition, ListQuery, Store},
    time::TimeMs,
};

use crate::{
    harness::{Harness, wait_until},
    test_lane::TestLane,
};

/// The whole list, the oldest job first.
fn all() -> ListQuery {
    ListQuery {
        tenant: TenantId::default(),
        session: None,
        created: TimeMs(0)..=TimeMs(99_999_999_999_999),
        is_oldest_first: true,
        after: None,
        limit: 100,
    }
}

/// Reads the list to its end.
async fn read(store: &Arc<dyn Store>, query: &ListQuery) -> Vec<ListPosition> {
    let mut query = query.clone();
    let mut read = Vec::new();
    loop {
        let page = store.list_jobs(&query).await.unwrap();
        assert!(page.len() <= query.limit);
        let Some(last) = page.last() else {
            return read;
        };
        query.after = Some(*last);
        read.extend(page);
    }
}

fn jobs(positions: &[ListPosition]) -> Vec<JobId> {
    positions.iter().map(|position| position.job).collect()
}

/// Admits this many jobs without a session, which are in many partitions.
async fn admit(store: &Arc<dyn Store>, count: usize) -> BTreeSet<JobId> {
    let mut admitted = BTreeSet::new();
    for _ in 0..count {
        admitted.insert(TestLane::without_session(store).admit().await);
    }
    admitted
}

pub(crate) async fn shows_the_jobs_of_a_tenant_in_the_order_of_their_creation(
    engine: impl Harness,
) {
    let store = engine.store();
    let admitted = admit(&store, 30).await;
    // Some of these names begin with `default`, and `defaul` is a prefix of `default`.
    for name in ["default-2", "defaul", "default.", "z"] {
        let tenant = TenantId::parse(name).unwrap();
        TestLane::of_tenant(&store, tenant, Some("s")).admit().await;
    }
    let oldest_first = read(&store, &all()).await;
    assert!(oldest_first.is_sorted(), "{oldest_first:?}");
    assert_eq!(BTreeSet::from_iter(jobs(&oldest_first)), admitted);
    let query = ListQuery {
        is_oldest_first: false,
        ..all()
    };
    let mut newest_first = read(&store, &query).await;
    newest_first.reverse();
    assert_eq!(newest_first, oldest_first);
    for position in &oldest_first {
        let record = store.job(&TenantId::default(), position.job).await.unwrap();
        assert_eq!(record.unwrap().meta.created_at, position.created_at);
    }
}

pub(crate) async fn is_read_in_pages_without_gaps_or_repeats_while_jobs_come_and_go(
    engine: impl Harness,
) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let mut expected = admit(&store, 20).await;
    let first = lane.admit().await;
    expected.insert(first);
    for is_oldest_first in [true, false] {
        let mut query = ListQuery {
            is_oldest_first,
            limit: 3,
            ..all()
        };
        let mut seen = Vec::new();
        loop {
            let page = store.list_jobs(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            query.after = Some(*last);
            seen.extend(jobs(&page));
            if seen.len() < 12 {
                lane.admit().await;
            }
        }
        let distinct = BTreeSet::from_iter(seen.iter().copied());
        assert_eq!(distinct.len(), seen.len(), "a job is shown twice");
        assert!(distinct.is_superset(&expected), "a job is missing");
        expected = BTreeSet::from_iter(jobs(&read(&store, &all()).await));
    }

    // A removed job leaves the list.
    lane.apply(&Event::Cancel { job: first }).await;
    let removed = store.remove_job(&lane.tenant, first).await;
    assert_eq!(removed.unwrap(), JobRemoval::Removed);
    expected.remove(&first);
    assert_eq!(
        BTreeSet::from_iter(jobs(&read(&store, &all()).await)),
        expected
    );
}

pub(crate) async fn is_bounded_by_times(engine: impl Harness) {
    let store = engine.store();
    let mut times = Vec::new();
    for _ in 0..3 {
        let before = store.now();
        wait_until(async || store.now() > before).await;
        TestLane::session(&store, "s").admit().await;
        times = read(&store, &all()).await;
    }
    for is_oldest_first in [true, false] {
        let query = ListQuery {
            created: times[1].created_at..=times[1].created_at,
            is_oldest_first,
            ..all()
        };
        assert_eq!(read(&store, &query).await, [times[1]]);
        let later = TimeMs(times[2].created_at.0 + 1)..=TimeMs(99_999_999_999_999);
        for created in [later, times[2].created_at..=times[0].created_at] {
            let query = ListQuery {
                created,
                is_oldest_first,
                ..all()
            };
            assert!(read(&store, &query).await.is_empty());
        }
    }
}

pub(crate) async fn of_a_session_is_read_from_its_partition(engine: impl Harness) {
    let store = engine.store();
    admit(&store, 20).await;
    let lane = TestLane::session(&store, "s");
    let (first, second) = (lane.admit().await, lane.admit().await);
    let query = ListQuery {
        session: Some(SessionId::parse("s").unwrap()),
        limit: 1,
        ..all()
    };
    let listed = jobs(&read(&store, &query).await);
    assert!(listed.contains(&first) && listed.contains(&second));
    let partition = first.partition();
    assert!(listed.iter().all(|job| job.partition() == partition));
}
