//! The headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), as structured fields (RFC 9651).

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{policy::Policy, tenant::LimitedTenant};

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl LimitedTenant {
    /// Adds the limits of the tenant, and what remains of them as this gateway knows it.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        let now = self.context.now();
        let (limits, requests_left, live_left) = {
            let state = self.lock();
            let permits = &state.permits;
            (
                state.limits.clone(),
                permits.requests_left(now),
                permits.live_left(),
            )
        };
        let (mut policies, mut states) = (String::new(), String::new());
        if let Some(limit) = limits.requests {
            let (name, quota, window_s) = (Policy::Requests.as_str(), limit.quota, limit.window_s);
            add(
                &mut policies,
                format_args!("\"{name}\";q={quota};w={window_s}"),
            );
            let (left, reset_s) = match requests_left {
                Some((left, ends_at)) => (
                    left.min(u64::from(quota)),
                    ends_at.since_ms(now).div_ceil(1_000),
                ),
                // No window has begun, or it has just ended.
                None => (u64::from(quota), u64::from(window_s)),
            };
            add(&mut states, format_args!("\"{name}\";r={left};t={reset_s}"));
        }
        if let Some(limit) = limits.live_jobs {
            let (name, quota) = (Policy::Live.as_str(), limit.quota);
            add(
                &mut policies,
                format_args!("\"{name}\";q={quota};qu=\"concurrent-requests\""),
            );
            // Before the first count, all may be free.
            let left = live_left.unwrap_or(u64::MAX).min(u64::from(quota));
            add(&mut states, format_args!("\"{name}\";r={left}"));
        }
        for (name, value) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, states)] {
            if !value.is_empty()
                && let Ok(value) = HeaderValue::try_from(value)
            {
                headers.insert(name, value);
            }
        }
    }
}

/// Adds an item to a list.
fn add(list: &mut String, item: std::fmt::Arguments<'_>) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    // A write to a text cannot fail.
    let _ = list.write_fmt(item);
}
