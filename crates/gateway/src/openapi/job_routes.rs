//! The descriptions of the routes of jobs.

use axum::http::StatusCode;
use forebay_shared::ids::JOB_ID_PATTERN;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::{
    idempotency::{KEY_ALLOWED, KEY_PATTERN},
    jobs::{JobList, JobView, WAIT_S_MAX},
    problem_code::ProblemCode as P,
};

const JOB_HEADERS: [&str; 1] = ["X-Request-Id"];

pub(crate) fn submit_job(generator: &mut SchemaGenerator) -> Operation {
    let description = "Commits the job to the store and answers 202. The job then runs when its session, its class and its \
                       provider allow. Poll it at `Location`, or ask for a wait: if the job ends in this time, the answer is \
                       200 with its reply.";
    wait(Operation::new("submitJob", "jobs", "Submit a job", description))
        .parameter(
            "Idempotency-Key",
            "header",
            &format!(
                "A key for this job: {KEY_ALLOWED}. Both forms mean the same key. A repeated request with the same key and body \
                 gets the job of the first one. A key holds for a day."
            ),
            &json!({"type": "string", "pattern": KEY_PATTERN}),
        )
        .body(
            "The job, as JSON in UTF-8 without compression.",
            &json!({"$ref": "#/components/schemas/Submit"}),
        )
        .json::<JobView<'_>>(
            generator,
            StatusCode::ACCEPTED,
            "The job is stored.",
            &["X-Request-Id", "Location", "Retry-After", "Idempotency-Replayed", "Preference-Applied"],
        )
        .json::<JobView<'_>>(
            generator,
            StatusCode::OK,
            "The job has ended within the wait.",
            &["X-Request-Id", "Location", "Idempotency-Replayed", "Preference-Applied"],
        )
        .problems(&[
            P::InvalidJson,
            P::UnknownParameter,
            P::SessionBusy,
            P::UnsupportedMediaType,
            P::InvalidRequest,
            P::JobDeleted,
            P::IdempotencyKeyReused,
            P::SessionFull,
            P::BacklogFull,
            P::ProviderBacklogFull,
            P::QueueUnhealthy,
            P::StoreFull,
            P::StoreUnavailable,
            P::Stopping,
        ])
}

pub(crate) fn get_job(generator: &mut SchemaGenerator) -> Operation {
    let description = "Shows the job at once, or after a wait for its end. If too many requests wait, the answer comes at \
                       once. While the job is live, `Retry-After` says when to poll again.";
    wait(id(Operation::new(
        "getJob",
        "jobs",
        "Show a job, or wait for its reply",
        description,
    )))
    .json::<JobView<'_>>(
        generator,
        StatusCode::OK,
        "The job.",
        &["X-Request-Id", "Retry-After", "Preference-Applied"],
    )
    .problems(&[
        P::UnknownParameter,
        P::JobNotFound,
        P::InvalidRequest,
        P::StoreUnavailable,
    ])
}

pub(crate) fn list_jobs(generator: &mut SchemaGenerator) -> Operation {
    let description = "Lists the jobs whose records are kept, in the order of their creation. A page may have fewer jobs than \
                       `limit`, even none, although others follow: `next_cursor` is null only after the last job. Pages miss no \
                       job and show none twice while jobs come and go. A job with a large result has `is_partial`.";
    Operation::new("listJobs", "jobs", "List jobs", description)
        .json::<JobList<'_>>(generator, StatusCode::OK, "A page of jobs.", &JOB_HEADERS)
        .problems(&[P::UnknownParameter, P::InvalidRequest, P::StoreUnavailable])
}

pub(crate) fn cancel_job(generator: &mut SchemaGenerator) -> Operation {
    let description = "Cancels a job, queued or running. A job that has ended gets 409, even if it was cancelled.";
    id(Operation::new(
        "cancelJob",
        "jobs",
        "Cancel a job",
        description,
    ))
    .json::<JobView<'_>>(
        generator,
        StatusCode::OK,
        "The job is cancelled.",
        &JOB_HEADERS,
    )
    .problems(&[
        P::UnknownParameter,
        P::JobNotFound,
        P::JobFinished,
        P::StoreFull,
        P::StoreUnavailable,
    ])
}

pub(crate) fn retry_job(generator: &mut SchemaGenerator) -> Operation {
    let description = "Runs a job again that failed, was cancelled or has expired, with the same id and request. It waits behind \
                       the live jobs of its session. It expires after the time that its submit set, and its tries are counted \
                       anew. The limits of a submit apply. A job that replaces turns is refused if the turns of its session have \
                       changed since the submit.";
    id(Operation::new(
        "retryJob",
        "jobs",
        "Run a job again",
        description,
    ))
    .json::<JobView<'_>>(
        generator,
        StatusCode::ACCEPTED,
        "The job is queued again.",
        &["X-Request-Id", "Location", "Retry-After"],
    )
    .problems(&[
        P::UnknownParameter,
        P::JobNotFound,
        P::JobFinished,
        P::JobLive,
        P::SessionChanged,
        P::SessionFull,
        P::BacklogFull,
        P::ProviderBacklogFull,
        P::QueueUnhealthy,
        P::StoreFull,
        P::StoreUnavailable,
        P::Stopping,
    ])
}

pub(crate) fn delete_job(_: &mut SchemaGenerator) -> Operation {
    let description = "Erases a job that has ended: its metadata, its request and its result. The turns of its session stay. A \
                       submit with the idempotency key of the job answers 410 until the key lapses.";
    id(Operation::new(
        "deleteJob",
        "jobs",
        "Delete a job",
        description,
    ))
    .response(
        StatusCode::NO_CONTENT,
        "The job is deleted.",
        &JOB_HEADERS,
        None,
    )
    .problems(&[
        P::UnknownParameter,
        P::JobNotFound,
        P::JobLive,
        P::StoreUnavailable,
    ])
}

fn id(operation: Operation) -> Operation {
    let schema = json!({"type": "string", "pattern": JOB_ID_PATTERN});
    operation.parameter(
        "id",
        "path",
        "The job's id. Any other text gets 404.",
        &schema,
    )
}

/// Adds the header that asks for a wait. The query parameter `wait_s` is added with the other query parameters of the route.
fn wait(operation: Operation) -> Operation {
    let description = format!(
        "`wait=N` (RFC 7240) asks for a wait of N seconds, at most {WAIT_S_MAX}, if there is no `wait_s`. An unreadable preference is \
         ignored. `respond-async` has no effect except in the header `Preference-Applied`."
    );
    operation.parameter("Prefer", "header", &description, &json!({"type": "string"}))
}
