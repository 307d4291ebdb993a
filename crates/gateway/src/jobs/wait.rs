//! Waits for a job to end. A request asks for the wait with `?wait_s=` or `Prefer: wait=` (RFC 7240).

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use forebay_shared::{
    ids::{JobId, TenantId},
    store::JobState,
};
use tokio::{sync::SemaphorePermit, time::Instant};

use super::job_changes::JobChanges;
use crate::{
    problem::Problem,
    query_parameters::{AnyParameter, Query, QueryParameter, WholeNumber},
    state::{ApiState, ReadJob},
};

/// The header that confirms preferences (RFC 7240).
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The longest wait, in seconds.
pub(crate) const WAIT_S_MAX: u64 = 60;

/// How long a request asks to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaitTime {
    /// In seconds, at most 60. 0 means no wait.
    pub(super) seconds: u64,
    /// Whether the header `Prefer` asked for the wait. Then the response confirms it in `Preference-Applied`.
    pub(super) from_prefer_header: bool,
    /// Whether the header `Prefer` has `respond-async`, which asks for 202 if the job is still live after the wait. A submit gets 202
    /// then in any case.
    pub(super) is_async_preferred: bool,
}

/// The query parameter that asks for a wait.
static WAIT_S: QueryParameter<WholeNumber> = QueryParameter {
    name: "wait_s",
    description: "How many seconds to wait for the end of the job.",
    kind: WholeNumber {
        min: 0,
        max: WAIT_S_MAX,
        default: Some(0),
    },
};

/// The query parameters of the routes that can wait for a job.
pub(crate) static PARAMETERS: [&dyn AnyParameter; 1] = [&WAIT_S];

/// Reads how long a request asks to wait. `wait_s` takes precedence over the header.
///
/// A longer `wait` preference is shortened to 60 s. An unreadable preference is ignored, as RFC 7240 requires.
pub(super) fn parse(query: Query<'_>, headers: &HeaderMap) -> WaitTime {
    let is_async_preferred = preferences(headers).any(is_respond_async);
    if let Some(seconds) = query.get(&WAIT_S) {
        return WaitTime {
            seconds,
            from_prefer_header: false,
            is_async_preferred,
        };
    }
    let preferred = preferences(headers).find_map(parse_wait_preference);
    WaitTime {
        seconds: preferred.map_or(0, |seconds| seconds.min(WAIT_S_MAX)),
        from_prefer_header: preferred.is_some(),
        is_async_preferred,
    }
}

/// The preferences of the headers `Prefer`, with their parameters.
fn preferences(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all("prefer").iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(split_unquoted)
}

/// Splits a text at the commas outside of quoted strings.
fn split_unquoted(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        let escapes = is_quoted && !is_escaped && character == '\\';
        if character == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = escapes;
        character == ',' && !is_quoted
    })
}

fn is_respond_async(preference: &str) -> bool {
    let name = preference.split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("respond-async")
}

/// The seconds of a `wait` preference. `None` for any other preference.
fn parse_wait_preference(text: &str) -> Option<u64> {
    let (name, value) = text.split(';').next()?.split_once('=')?;
    let value = value.trim().trim_matches('"');
    name.trim()
        .eq_ignore_ascii_case("wait")
        .then(|| parse_digits(value))?
}

/// Parses digits without a sign. A number that is too large for 64 bits becomes `u64::MAX`.
fn parse_digits(text: &str) -> Option<u64> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

impl WaitTime {
    /// The permit to wait. `None` if the request asks for no wait, or if no permit is free. Then it is answered at once.
    pub(super) fn permit(self, state: &ApiState) -> Option<SemaphorePermit<'_>> {
        match self.seconds {
            0 => None,
            _ => state.wait_permits.try_acquire().ok(),
        }
    }

    /// Confirms the preference for a wait. Called after the wait; a wait of 0 s is over at once.
    pub(super) fn confirm_wait(self, response: &mut Response) {
        if self.from_prefer_header {
            confirm(&format!("wait={}", self.seconds), response);
        }
    }

    /// Confirms the preference `respond-async` in a response with 202.
    pub(super) fn confirm_async(self, response: &mut Response) {
        if self.is_async_preferred && response.status() == StatusCode::ACCEPTED {
            confirm("respond-async", response);
        }
    }
}

/// Adds a preference to the header `Preference-Applied`.
fn confirm(preference: &str, response: &mut Response) {
    let headers = response.headers_mut();
    let earlier = headers.get(APPLIED).and_then(|value| value.to_str().ok());
    let all = match earlier {
        Some(earlier) => format!("{preference}, {earlier}"),
        None => preference.to_owned(),
    };
    if let Ok(value) = HeaderValue::try_from(all) {
        headers.insert(APPLIED, value);
    }
}

/// A job after a wait.
pub(super) struct Waited {
    pub(super) job: ReadJob,
    /// Whether the job has ended or the whole time has passed. Otherwise the gateway stops, or too many requests read their jobs.
    pub(super) has_waited_fully: bool,
}

/// Waits until the job has ended, and returns it. After `seconds`, or when the gateway stops, returns the job as it was at the
/// last read. If there is no such job, or if it is deleted meanwhile, returns `None`.
pub(super) async fn until_ended(
    state: &ApiState,
    tenant: &TenantId,
    id: JobId,
    seconds: u64,
) -> Result<Option<Waited>, Problem> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut changes = JobChanges::watch(state, id).await;
    loop {
        let Some(job) = state.read_job(tenant, id).await? else {
            return Ok(None);
        };
        let has_ended = matches!(job.state, JobState::Ended(_));
        if has_ended
            || Instant::now() >= deadline
            || state.stop.is_cancelled()
            || !changes.next(deadline).await
        {
            let has_waited_fully = has_ended || Instant::now() >= deadline;
            return Ok(Some(Waited {
                job,
                has_waited_fully,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{WaitTime, parse};
    use crate::query_parameters::Query;

    fn parsed(query: Option<&str>, prefer: &[&'static str]) -> WaitTime {
        let mut headers = HeaderMap::new();
        for value in prefer {
            headers.append("prefer", HeaderValue::from_static(value));
        }
        parse(Query(query), &headers)
    }

    fn from_header(seconds: u64) -> WaitTime {
        WaitTime {
            from_prefer_header: true,
            ..not_from_header(seconds)
        }
    }

    fn not_from_header(seconds: u64) -> WaitTime {
        WaitTime {
            seconds,
            from_prefer_header: false,
            is_async_preferred: false,
        }
    }

    #[test]
    fn a_comma_in_a_quoted_value_separates_nothing() {
        assert_eq!(parsed(None, &[r#"x="a, wait=9", wait=5"#]), from_header(5));
        assert_eq!(
            parsed(None, &[r#"x="a\", wait=9", wait="5""#]),
            from_header(5)
        );
        assert_eq!(parsed(None, &[r#"x="a\\", wait=9"#]), from_header(9));
        assert_eq!(
            parsed(None, &[r#"x="never closed, wait=9"#]),
            not_from_header(0)
        );
    }

    #[test]
    fn the_parameter_wait_s_takes_precedence_over_the_header() {
        assert_eq!(parsed(None, &[]), not_from_header(0));
        assert_eq!(parsed(Some("wait_s=0"), &["wait=3"]), not_from_header(0));
        assert_eq!(parsed(Some("wait_s=60"), &["wait=3"]), not_from_header(60));
        assert_eq!(parsed(Some(""), &["wait=3"]), from_header(3));
    }

    #[test]
    fn a_wait_that_is_too_long_is_shortened_and_an_unreadable_preference_is_ignored() {
        assert_eq!(parsed(None, &["wait=30"]), from_header(30));
        assert_eq!(
            parsed(None, &["respond-async, Wait = \"7\"; x=y"]),
            WaitTime {
                is_async_preferred: true,
                ..from_header(7)
            }
        );
        assert_eq!(
            parsed(None, &["foo=1", "wait=99999999999999999999"]),
            from_header(60)
        );
        assert_eq!(parsed(None, &["wait=soon"]), not_from_header(0));
    }
}
