//! The body of `PUT /v1/admin/tenants/{tenant}/limits`: the limits of a tenant.

use std::sync::LazyLock;

use forebay_shared::tenant_limit::{
    LiveJobLimit, QUOTA_MAX, RequestLimit, TenantLimits, WINDOW_S_MAX,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{problem::Problem, validation::BodySchema};

/// The limits of a tenant. A limit that is null or missing does not apply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitsBody {
    /// The most requests to submit or retry a job, or to write or fork a session, in a window of time.
    requests: Option<RequestsBody>,
    /// The most jobs that may be live at the same time.
    live_jobs: Option<LiveJobsBody>,
}

// JSON Schema counts `5.0` as the integer 5, so the numbers are read as floats. A float holds them exactly: they have at
// most 30 bits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequestsBody {
    /// The most requests.
    #[schemars(with = "u32", range(min = 1, max = QUOTA_MAX))]
    quota: f64,
    /// The length of the window in seconds. A window begins with its first request.
    #[schemars(with = "u32", range(min = 1, max = WINDOW_S_MAX))]
    window_s: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LiveJobsBody {
    /// The most jobs.
    #[schemars(with = "u32", range(min = 1, max = QUOTA_MAX))]
    quota: f64,
}

static SCHEMA: LazyLock<BodySchema> =
    LazyLock::new(|| BodySchema::of::<LimitsBody>(r#"{"live_jobs": {"quota": 50}}"#));

/// The schema of the body, as it is published and enforced.
pub(crate) fn published() -> &'static Value {
    SCHEMA.published()
}

/// Parses and validates a body.
pub(super) fn parse(body: &[u8]) -> Result<TenantLimits, Problem> {
    let body: LimitsBody = SCHEMA.parse(body)?;
    Ok(TenantLimits {
        requests: body.requests.map(|limit| RequestLimit {
            quota: to_u32(limit.quota),
            window_s: to_u32(limit.window_s),
        }),
        live_jobs: body.live_jobs.map(|limit| LiveJobLimit {
            quota: to_u32(limit.quota),
        }),
        ..TenantLimits::default()
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the schema accepts only integers from 1 to 10^9"
)]
const fn to_u32(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn limits_are_read_within_their_bounds() {
        let text = r#"{"requests": {"quota": 100.0, "window_s": 60}, "live_jobs": {"quota": 50}}"#;
        let limits = parse(text.as_bytes()).expect("valid limits");
        let requests = limits.requests.map(|limit| (limit.quota, limit.window_s));
        assert_eq!(requests, Some((100, 60)));
        assert_eq!(limits.live_jobs.map(|limit| limit.quota), Some(50));
        let none = parse(br#"{"requests": null}"#).expect("valid limits");
        assert!(none.requests.is_none() && none.live_jobs.is_none());
    }

    #[test]
    fn an_empty_body_is_answered_with_an_example_that_is_valid() {
        let problem = parse(b"").expect_err("no body");
        let message = &problem.errors()[0].message;
        let example = message.strip_prefix("is empty; send a JSON object such as ");
        let limits = parse(example.expect("an example").as_bytes()).expect("valid limits");
        assert!(limits.live_jobs.is_some());
    }

    #[test]
    fn each_fault_is_named() {
        for (text, field) in [
            (
                r#"{"requests": {"quota": 0, "window_s": 60}}"#,
                "requests.quota",
            ),
            (
                r#"{"requests": {"quota": 1.5, "window_s": 60}}"#,
                "requests.quota",
            ),
            (r#"{"requests": {"quota": 1}}"#, "requests.window_s"),
            (
                r#"{"requests": {"quota": 1, "window_s": 86401}}"#,
                "requests.window_s",
            ),
            (r#"{"live_jobs": {"quota": 1000000001}}"#, "live_jobs.quota"),
            (r#"{"live_jobs": 5}"#, "live_jobs"),
            (r#"{"tokens": {}}"#, "tokens"),
            ("[]", "body"),
        ] {
            let problem = parse(text.as_bytes()).expect_err(text);
            assert_eq!(problem.errors()[0].field, field, "{text}: {problem:?}");
        }
    }
}
