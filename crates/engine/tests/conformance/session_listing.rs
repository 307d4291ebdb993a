//! The list of a tenant's sessions.

use std::sync::Arc;

use forebay_shared::{
    ids::TenantId,
    session_settings::StoredSettings,
    store::{
        SessionListQuery, SessionPosition, SessionPut, SessionPutResult, SessionWriteId, Store,
    },
};

use crate::{
    harness::{Harness, wait_until_passed},
    test_lane::{LONG_MS, TestLane},
};

const OLDEST_FIRST: bool = true;
const NEWEST_FIRST: bool = false;

async fn put(lane: &TestLane, ttl_ms: u64) -> SessionPosition {
    let session = lane.session.clone().expect("the lane has a session");
    let put = SessionPut {
        tenant: lane.tenant.clone(),
        session: session.clone(),
        id: SessionWriteId::new_v4(),
        turns: vec![String::from(r#"{"role":"user","content":"x"}"#)],
        settings: StoredSettings {
            model: Some(session.to_string()),
            ..StoredSettings::default()
        },
        only_create: false,
        ttl_ms,
    };
    match lane.store.put_session(Arc::new(put)).await.unwrap() {
        SessionPutResult::Created(info) | SessionPutResult::Replaced(info) => SessionPosition {
            created_at: info.created_at,
            session,
        },
        result => panic!("the session should be written: {result:?}"),
    }
}

/// The positions of the tenant's sessions, read in pages.
async fn listed(
    store: &dyn Store,
    tenant: &TenantId,
    is_oldest_first: bool,
    limit: usize,
) -> Vec<SessionPosition> {
    let mut query = SessionListQuery {
        tenant: tenant.clone(),
        is_oldest_first,
        after: None,
        limit,
    };
    let mut found = Vec::new();
    loop {
        let page = store.list_sessions(&query).await.unwrap();
        assert!(page.len() <= limit);
        let Some(last) = page.last() else {
            return found;
        };
        query.after = Some(last.position.clone());
        let existing = page.into_iter().filter(|listed| listed.info.is_some());
        found.extend(existing.map(|listed| listed.position));
    }
}

pub(crate) async fn shows_sessions_in_the_order_of_their_creation(engine: impl Harness) {
    let store = engine.store();
    let tenant = TenantId::default();
    assert_eq!(listed(&*store, &tenant, OLDEST_FIRST, 10).await, []);
    let mut expected = Vec::new();
    for number in 0..30 {
        // Ids in no order, in many partitions, with the separator of the index.
        let lane = TestLane::session(&store, &format!("{}|{number}", (number * 7) % 30));
        if number % 3 == 0 {
            lane.complete(&["x"]).await;
            let info = lane.read_session(LONG_MS).await.unwrap();
            expected.push(SessionPosition {
                created_at: info.created_at,
                session: lane.session.clone().unwrap(),
            });
        } else {
            expected.push(put(&lane, LONG_MS).await);
        }
    }
    let other = TestLane::of_tenant(&store, TenantId::parse("other").unwrap(), Some("s"));
    let of_other = put(&other, LONG_MS).await;
    assert_eq!(
        listed(&*store, &other.tenant, OLDEST_FIRST, 3).await,
        [of_other]
    );
    expected.sort();
    for limit in [1, 7, 1_000] {
        assert_eq!(
            listed(&*store, &tenant, OLDEST_FIRST, limit).await,
            expected,
            "{limit}"
        );
    }
    expected.reverse();
    for limit in [1, 7, 1_000] {
        assert_eq!(
            listed(&*store, &tenant, NEWEST_FIRST, limit).await,
            expected,
            "{limit}"
        );
    }
}

pub(crate) async fn shows_the_present_state_of_sessions(engine: impl Harness) {
    let store = engine.store();
    let tenant = TenantId::default();
    let (live, idle) = (
        TestLane::session(&store, "live"),
        TestLane::session(&store, "idle"),
    );
    put(&live, LONG_MS).await;
    live.admit().await;
    put(&idle, LONG_MS).await;
    let before = idle.read_session(LONG_MS).await.unwrap();
    let query = SessionListQuery {
        tenant: tenant.clone(),
        is_oldest_first: true,
        after: None,
        limit: 10,
    };
    let page = store.list_sessions(&query).await.unwrap();
    let infos = page.into_iter().map(|listed| listed.info.unwrap());
    let infos: Vec<_> = infos.collect();
    let live_info = infos.iter().find(|info| info.live_jobs == 1).unwrap();
    assert_eq!((live_info.turn_count, live_info.expires_at), (1, None));
    let idle_info = infos.iter().find(|info| info.live_jobs == 0).unwrap();
    let settings = idle_info.settings.as_ref().unwrap();
    assert_eq!(settings.model.as_deref(), Some("idle"));
    // Listing a session does not count as a use.
    assert_eq!(idle_info.expires_at, before.expires_at);
}

pub(crate) async fn does_not_show_sessions_that_are_gone(engine: impl Harness) {
    let store = engine.store();
    let tenant = TenantId::default();
    let [kept, removed, again, expired] =
        ["kept", "removed", "again", "expired"].map(|id| TestLane::session(&store, id));
    let mut positions = vec![put(&kept, LONG_MS).await];
    put(&removed, LONG_MS).await;
    let first = put(&again, LONG_MS).await;
    put(&expired, 1).await;
    for lane in [&removed, &again] {
        let session = lane.session.as_ref().unwrap();
        store.remove_session(&tenant, session).await.unwrap();
    }
    wait_until_passed(store.as_ref(), store.now().plus_ms(2)).await;
    positions.push(put(&again, LONG_MS).await);
    assert!(positions[1] > first);
    // The deletion of expired sessions does not change what is listed. The number of calls is bounded, so that the test ends.
    for _ in 0..512 {
        assert_eq!(listed(&*store, &tenant, OLDEST_FIRST, 10).await, positions);
        if store.delete_expired(10).await.unwrap() == 0 {
            break;
        }
    }
    assert_eq!(listed(&*store, &tenant, OLDEST_FIRST, 10).await, positions);
    // A replacement keeps the position.
    put(&kept, LONG_MS).await;
    assert_eq!(listed(&*store, &tenant, OLDEST_FIRST, 10).await, positions);
}
