//! `GET /healthz` and `GET /readyz` of the admin listener. They follow the same rules as those of the API, but a process without the
//! API also needs its queue to be ready.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::state::AdminState;
use crate::{problem::Problem, readiness};

pub(super) async fn healthz(State(state): State<Arc<AdminState>>) -> Result<Response, Problem> {
    readiness::healthy(&state.member)
}

pub(super) async fn readyz(State(state): State<Arc<AdminState>>) -> Result<Response, Problem> {
    readiness::ready(&state.member, state.requirements)
}
