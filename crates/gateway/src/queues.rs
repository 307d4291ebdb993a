//! `GET /v1/queues`: the job counts and the drain rate of each class.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use forebay_shared::{class::Class, store::ClassTotals, time::TimeMs};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{auth::Caller, json_response::Json, problem::Problem, state::ApiState};

/// The queues of the key's tenant. With the scope `admin`, or if the gateway requires no keys, the sums over all tenants.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Queues {
    classes: Classes,
}

#[derive(Serialize, JsonSchema)]
struct Classes {
    interactive: ClassView,
    batch: ClassView,
}

/// A class as the API shows it.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "QueueOfClass")]
struct ClassView {
    /// Jobs that wait for a worker.
    ready: i64,
    /// Jobs that run.
    in_flight: i64,
    /// Jobs that wait for earlier jobs of their session.
    behind_session: i64,
    /// Jobs that wait for their next try.
    retry_wait: i64,
    /// Jobs that wait for their provider.
    provider_wait: i64,
    /// All jobs that have not ended: the sum of the numbers above.
    live: i64,
    /// How long the oldest waiting job has waited, in seconds. Null if none waits.
    oldest_wait_s: Option<f64>,
    /// How many jobs end each second.
    drained_per_s: f64,
}

/// Shows the counts of each class: summed over all tenants for a caller who may see them, and otherwise of the caller's tenant.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
) -> Result<Json<Queues>, Problem> {
    let (gauge, counts) = (&state.member.gauge, state.counts().await?);
    let now = state.member.store.now();
    let tenant = (!caller.sees_all_tenants()).then(|| caller.tenant());
    let view_of = |class| match tenant {
        None => view(counts.class(class), gauge.drained_per_s(class), now),
        Some(tenant) => {
            let drained_per_s = gauge.drained_per_s_of(tenant, class);
            view(counts.class_of(tenant, class), drained_per_s, now)
        }
    };
    Ok(Json(Queues {
        classes: Classes {
            interactive: view_of(Class::Interactive),
            batch: view_of(Class::Batch),
        },
    }))
}

fn view(totals: ClassTotals, drained_per_s: f64, now: TimeMs) -> ClassView {
    let wait_s = |since: TimeMs| Duration::from_millis(now.since_ms(since)).as_secs_f64();
    ClassView {
        ready: totals.live.ready,
        in_flight: totals.live.in_flight,
        behind_session: totals.live.behind_session,
        retry_wait: totals.live.retry_wait,
        provider_wait: totals.live.provider_wait,
        live: totals.live.live(),
        oldest_wait_s: totals.oldest_waiting.map(wait_s),
        drained_per_s: (drained_per_s * 10.0).round() / 10.0,
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        class::Class,
        ids::TenantId,
        lane::ClassCounts,
        store::{Counts, TenantClassCounts},
        time::TimeMs,
    };

    use super::{ClassView, view};

    #[test]
    fn the_view_of_a_class_has_its_counts_and_shows_times_in_seconds() {
        let counts = Counts {
            rows: vec![TenantClassCounts {
                tenant: TenantId::default(),
                class: Class::Batch,
                live: ClassCounts {
                    ready: 1,
                    in_flight: 2,
                    behind_session: 3,
                    retry_wait: 4,
                    provider_wait: 5,
                },
                ended: 9,
                oldest_waiting: Some(TimeMs(1_000)),
            }],
            deferred: Vec::new(),
            sessions: 0,
        };
        let expected = ClassView {
            ready: 1,
            in_flight: 2,
            behind_session: 3,
            retry_wait: 4,
            provider_wait: 5,
            live: 15,
            oldest_wait_s: Some(1.5),
            drained_per_s: 3.3,
        };
        assert_eq!(
            view(counts.class(Class::Batch), 3.333, TimeMs(2_500)),
            expected
        );
        let empty = view(counts.class(Class::Interactive), 0.0, TimeMs(2_500));
        assert_eq!((empty.live, empty.oldest_wait_s), (0, None));
    }
}
