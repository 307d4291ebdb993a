//! The descriptions of the routes of the limits of tenants.

use axum::http::StatusCode;
use schemars::SchemaGenerator;

use super::operation::Operation;
use crate::{
    admin_limits::{self, LimitsView},
    problem_code::ProblemCode as P,
    tenant_name,
};

const HEADERS: [&str; 1] = ["X-Request-Id"];

pub(crate) fn get_limits(generator: &mut SchemaGenerator) -> Operation {
    let description =
        "Shows the limits that are set for the tenant, by this API or in the keys file.";
    tenant(Operation::new(
        "getTenantLimits",
        "limits",
        "Show the limits of a tenant",
        description,
    ))
    .json::<LimitsView>(generator, StatusCode::OK, "The limits.", &HEADERS)
    .problems(&[
        P::UnknownParameter,
        P::LimitsNotFound,
        P::NotFound,
        P::InvalidRequest,
        P::StoreUnavailable,
    ])
}

pub(crate) fn put_limits(generator: &mut SchemaGenerator) -> Operation {
    let description = "Sets the limits of the tenant, in place of all earlier ones. They take precedence over those of the \
                       keys file. All gateways apply them within 3 seconds. A gateway without API keys answers 409.";
    tenant(Operation::new(
        "putTenantLimits",
        "limits",
        "Set the limits of a tenant",
        description,
    ))
    .body("The limits.", admin_limits::body_schema())
    .json::<LimitsView>(generator, StatusCode::OK, "The limits are set.", &HEADERS)
    .problems(&[
        P::ApiKeysNotRequired,
        P::InvalidJson,
        P::UnknownParameter,
        P::NotFound,
        P::UnsupportedMediaType,
        P::InvalidRequest,
        P::StoreFull,
        P::StoreUnavailable,
    ])
}

pub(crate) fn delete_limits(_: &mut SchemaGenerator) -> Operation {
    let description = "Removes the limits that this API has set for the tenant. If the keys file has limits for the tenant, \
                       these apply again.";
    tenant(Operation::new(
        "deleteTenantLimits",
        "limits",
        "Remove the limits of a tenant",
        description,
    ))
    .response(
        StatusCode::NO_CONTENT,
        "The limits are removed.",
        &HEADERS,
        None,
    )
    .problems(&[
        P::UnknownParameter,
        P::LimitsNotFound,
        P::NotFound,
        P::InvalidRequest,
        P::StoreUnavailable,
    ])
}

fn tenant(operation: Operation) -> Operation {
    operation.parameter(
        "tenant",
        "path",
        "The tenant, which need not have made a request yet.",
        &tenant_name::schema(),
    )
}
