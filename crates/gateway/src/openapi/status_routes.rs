//! The descriptions of the routes about the queues, the providers, the process and the API.

use axum::http::StatusCode;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::{
    problem_code::ProblemCode as P, providers::Providers, queues::Queues, readiness::Ready,
    swagger_ui::FILES, welcome::Welcome,
};

const HEADERS: [&str; 1] = ["X-Request-Id"];

pub(crate) fn get_queues(generator: &mut SchemaGenerator) -> Operation {
    let description = "Shows the job counts and the drain rate of each class.";
    Operation::new("getQueues", "status", "Show the queues", description)
        .json::<Queues>(generator, StatusCode::OK, "The queues.", &HEADERS)
        .problems(&[P::UnknownParameter, P::StoreUnavailable])
}

pub(crate) fn get_providers(generator: &mut SchemaGenerator) -> Operation {
    let description =
        "Shows which providers may be called now, at which rate, and how many jobs wait for them.";
    Operation::new("getProviders", "status", "Show the providers", description)
        .json::<Providers>(generator, StatusCode::OK, "The providers.", &HEADERS)
        .problems(&[P::UnknownParameter, P::StoreUnavailable])
}

pub(crate) fn healthz(generator: &mut SchemaGenerator) -> Operation {
    let description =
        "Answers 200 unless the process runs a worker that takes no jobs although it could.";
    Operation::new("healthz", "status", "Check the process", description)
        .json::<Ready>(generator, StatusCode::OK, "The process works.", &HEADERS)
        .problems(&[P::WorkerWedged])
}

pub(crate) fn readyz(generator: &mut SchemaGenerator) -> Operation {
    let description = "Answers 200 if reads are served and the process does not stop, even if submits are refused.";
    Operation::new(
        "readyz",
        "status",
        "Check whether the process serves requests",
        description,
    )
    .json::<Ready>(generator, StatusCode::OK, "Reads are served.", &HEADERS)
    .problems(&[P::Stopping, P::StoreUnavailable])
}

pub(crate) fn readyz_submits(generator: &mut SchemaGenerator) -> Operation {
    let description = "Answers 200 while `/readyz` does and a submit would be accepted, and otherwise the problem.";
    Operation::new(
        "readyzSubmits",
        "status",
        "Check whether the process accepts jobs",
        description,
    )
    .json::<Ready>(generator, StatusCode::OK, "Submits are accepted.", &HEADERS)
    .problems(&[
        P::Stopping,
        P::StoreUnavailable,
        P::StoreFull,
        P::BacklogFull,
        P::QueueUnhealthy,
    ])
}

pub(crate) fn welcome(generator: &mut SchemaGenerator) -> Operation {
    let description = "Shows the name of the program and its routes.";
    Operation::new("welcome", "status", "Show the routes", description).json::<Welcome>(
        generator,
        StatusCode::OK,
        "The name of the program, and its routes.",
        &HEADERS,
    )
}

pub(crate) fn get_document(_: &mut SchemaGenerator) -> Operation {
    let description = "This document. It states what this gateway accepts and answers.";
    let content = json!({"application/json": {"schema": {"type": "object"}}});
    let headers = ["X-Request-Id", "ETag"];
    let description_of_304 = "The document has the version of `If-None-Match`.";
    Operation::new("getOpenApi", "status", "Show this document", description)
        .parameter(
            "If-None-Match",
            "header",
            "The `ETag` of the version that the client has.",
            &json!({"type": "string"}),
        )
        .response(StatusCode::OK, "The document.", &headers, Some(content))
        .response(StatusCode::NOT_MODIFIED, description_of_304, &headers, None)
}

pub(crate) fn get_page(_: &mut SchemaGenerator) -> Operation {
    let description = "This document as a page. It loads nothing from other hosts.";
    let content = json!({"text/html": {"schema": {"type": "string"}}});
    Operation::new(
        "getDocs",
        "status",
        "Show this document as a page",
        description,
    )
    .response(StatusCode::OK, "The page.", &HEADERS, Some(content))
}

pub(crate) fn get_page_file(_: &mut SchemaGenerator) -> Operation {
    let content = json!({"text/css": {}, "text/javascript": {}});
    let description =
        "A script or a style of the page. Swagger UI's own files are compressed with gzip.";
    Operation::new(
        "getDocsFile",
        "status",
        "Get a file of the page",
        description,
    )
    .parameter(
        "file",
        "path",
        "The file's name.",
        &json!({"type": "string", "enum": FILES}),
    )
    .response(StatusCode::OK, "The file.", &HEADERS, Some(content))
    .problems(&[P::NotFound])
}
