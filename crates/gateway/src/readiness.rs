//! Whether the process is healthy, and whether it is ready; the responses of `/healthz` and `/readyz`, on the API's port and on
//! the admin listener.
//!
//! An unavailable store or queue makes a process unready, and not unhealthy: a restart would not help. [`missing`] is a pure
//! function of what the process knows.

use axum::response::{IntoResponse, Response};
use forebay_runtime::{member::Member, worker_health::WEDGED_AFTER};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{json_response::Json, problem::Problem, problem_code::ProblemCode};

/// What a process needs to be ready, besides the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requirements {
    /// Whether it needs the queue. A gateway serves reads without it.
    pub(crate) queue: bool,
}

/// The body of a response with status 200: the process works (`/healthz`), or is ready (`/readyz`).
#[derive(Serialize, JsonSchema)]
pub(crate) struct Ready {
    #[schemars(extend("const" = "ok"))]
    status: &'static str,
    /// What the process can do without for now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
}

/// What the process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    is_stopping: bool,
    store_answers: bool,
    /// Whether a gateway can publish, or a worker consumes.
    queue_is_connected: bool,
    /// False only if a worker consumes but cannot publish.
    queue_accepts: bool,
}

/// The names of what is missing now: `draining`, `store`, `queue`, `queue_publish`.
fn missing(known: Known) -> Vec<&'static str> {
    let all = [
        ("draining", known.is_stopping),
        ("store", !known.store_answers),
        ("queue", !known.queue_is_connected),
        ("queue_publish", !known.queue_accepts),
    ];
    let missing = all.into_iter().filter(|(_, is_missing)| *is_missing);
    missing.map(|(name, _)| name).collect()
}

/// The problem for what is missing; `None` if the process is ready.
fn problem_code(missing: &[&'static str], requirements: Requirements) -> Option<ProblemCode> {
    let has = |name| missing.contains(&name);
    if has("draining") {
        Some(ProblemCode::Stopping)
    } else if has("store") {
        Some(ProblemCode::StoreUnavailable)
    } else if has("queue") && requirements.queue {
        Some(ProblemCode::QueueUnavailable)
    } else {
        None
    }
}

/// 200, or the problem that names everything that is missing.
pub(crate) fn ready(member: &Member, requirements: Requirements) -> Result<Response, Problem> {
    let queue = &member.queue;
    let store_answers = member.presence.is_current();
    let missing = missing(Known {
        is_stopping: member.is_stopping(),
        store_answers,
        queue_is_connected: if requirements.queue {
            // While the store does not answer, a worker has no consumers, so a connection suffices. An alarm of the broker blocks
            // publishing, but not the consumers.
            queue.is_consuming() || (queue.is_connected() && !store_answers)
        } else {
            queue.is_connected()
        },
        queue_accepts: queue.is_connected() || !requirements.queue || !queue.is_consuming(),
    });
    let (detail, retry_after_s) = match problem_code(&missing, requirements) {
        None => return Ok(ok(&missing)),
        Some(ProblemCode::Stopping) => ("the process was told to stop", 1),
        Some(ProblemCode::QueueUnavailable) => (
            "the queue cannot be reached, or the worker has no consumer there",
            2,
        ),
        Some(_) => ("the store has not answered for several seconds", 2),
    };
    let code = problem_code(&missing, requirements).unwrap_or(ProblemCode::StoreUnavailable);
    let problem = Problem::new(code, detail).retry_after(retry_after_s);
    Err(problem.with_missing(missing))
}

/// 200, or a problem if the worker of the process is wedged. A restart can then help.
pub(crate) fn healthy(member: &Member) -> Result<Response, Problem> {
    if member.worker_health.is_wedged() {
        let limit_s = WEDGED_AFTER.as_secs();
        let detail = format!(
            "the store answers, and jobs are ready or the worker holds messages, but the worker has handled none for {limit_s} s"
        );
        return Err(Problem::new(ProblemCode::WorkerWedged, detail));
    }
    Ok(ok(&[]))
}

/// 200. `missing` names what the process can do without for now.
fn ok(missing: &[&'static str]) -> Response {
    Json(Ready {
        status: "ok",
        missing: missing.to_vec(),
    })
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::{Known, Requirements, missing, problem_code};
    use crate::problem_code::ProblemCode;

    const READY: Known = Known {
        is_stopping: false,
        store_answers: true,
        queue_is_connected: true,
        queue_accepts: true,
    };

    #[test]
    fn each_missing_dependency_is_named() {
        assert!(missing(READY).is_empty());
        let none = Known {
            is_stopping: true,
            store_answers: false,
            queue_is_connected: false,
            queue_accepts: false,
        };
        assert_eq!(
            missing(none),
            ["draining", "store", "queue", "queue_publish"]
        );
    }

    #[test]
    fn only_a_worker_without_a_gateway_needs_the_queue() {
        let worker = Requirements { queue: true };
        let gateway = Requirements { queue: false };
        for (missing, of_worker, of_gateway) in [
            (&[][..], None, None),
            (&["queue"], Some(ProblemCode::QueueUnavailable), None),
            (&["queue_publish"], None, None),
            (
                &["store", "queue"],
                Some(ProblemCode::StoreUnavailable),
                Some(ProblemCode::StoreUnavailable),
            ),
            (
                &["draining", "store"],
                Some(ProblemCode::Stopping),
                Some(ProblemCode::Stopping),
            ),
        ] {
            assert_eq!(problem_code(missing, worker), of_worker, "{missing:?}");
            assert_eq!(problem_code(missing, gateway), of_gateway, "{missing:?}");
        }
    }
}
