//! `GET /metrics`: all metrics of the process, in the format that the scraper prefers.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use forebay_metrics::Format;
use forebay_runtime::off_async_threads::off_async_threads;

use super::state::AdminState;
use crate::{problem::Problem, problem_code::ProblemCode};

pub(super) async fn get(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted_by(&accept.join(","));
    let running = state.scrape.lock().await;
    // A scrape reads files of the operating system, which may block its thread.
    let encoded = off_async_threads(|| state.member.metrics.encode(format));
    drop(running);
    let text = encoded.map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        Problem::new(ProblemCode::Internal, "the metrics could not be written")
    })?;
    let content_type = HeaderValue::from_static(format.content_type());
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}
