//! A small response as JSON.

use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{problem::Problem, problem_code::ProblemCode};

/// A value to write as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
            Err(error) => {
                tracing::error!(%error, "a response could not be written as JSON");
                let detail = "the response could not be written as JSON";
                Problem::new(ProblemCode::Internal, detail).into_response()
            }
        }
    }
}
