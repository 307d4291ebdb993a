//! Gives handlers the caller of their request.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{auth::Caller, problem::Problem, problem_code::ProblemCode, state::ApiState};

impl FromRequestParts<Arc<ApiState>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<ApiState>,
    ) -> Result<Self, Self::Rejection> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        // `authorize` sets the caller before the handlers run. A route that needs no key has no caller.
        if state.keys.is_some() {
            let detail = "the gateway does not know who makes this request";
            return Err(Problem::new(ProblemCode::Internal, detail));
        }
        Ok(Self::without_key())
    }
}
