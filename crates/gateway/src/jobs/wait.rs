//! How long a look at a job waits for its end: `?wait_s=` or `Prefer: wait=` (RFC 7240), and the wait
//! itself.

use std::time::Duration;

use axum::http::HeaderMap;
use forebay_shared::{
    ids::JobId,
    store::{JobRecord, JobState, Notices, Topic},
};
use tokio::time::{Instant, sleep_until};

use crate::{api::Api, patience, problem::Problem};

/// The longest wait, in seconds.
const WAIT_S_MAX: u64 = 60;
/// A notice may be lost, so the job is looked at this often in any case.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The pause before a stream of notices that ended is asked for again.
const WATCH_PAUSE: Duration = Duration::from_millis(250);

/// How long a request wants to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// In seconds, at most 60; 0 for not at all.
    pub(super) seconds: u64,
    /// Whether the header `Prefer` asked for it, and is to be told that it was heard.
    pub(super) preferred: bool,
}

/// Reads how long a request wants to wait. The query goes before the header, and is held to its range;
/// a preference that is too long is cut, and one that cannot be read is ignored, as RFC 7240 says.
pub(super) fn asked(query: Option<&str>, headers: &HeaderMap) -> Result<Wait, Problem> {
    let pairs = query.unwrap_or_default().split('&');
    if let Some(text) = pairs
        .filter_map(|pair| pair.strip_prefix("wait_s="))
        .next_back()
    {
        let seconds = digits(text).filter(|seconds| *seconds <= WAIT_S_MAX);
        let message = format!("must be a whole number from 0 to {WAIT_S_MAX}");
        let seconds = seconds.ok_or_else(|| Problem::field("wait_s", message))?;
        return Ok(Wait {
            seconds,
            preferred: false,
        });
    }
    let preferred = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(preference);
    Ok(Wait {
        seconds: preferred.map_or(0, |seconds| seconds.min(WAIT_S_MAX)),
        preferred: preferred.is_some(),
    })
}

/// The seconds of a preference, if it is `wait`.
fn preference(text: &str) -> Option<u64> {
    let (name, value) = text.split(';').next()?.split_once('=')?;
    let value = value.trim().trim_matches('"');
    name.trim()
        .eq_ignore_ascii_case("wait")
        .then(|| digits(value))?
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The job once it has ended, or as it stands after `seconds` or when the gateway stops.
pub(super) async fn for_end(
    api: &Api,
    id: JobId,
    seconds: u64,
) -> Result<Option<JobRecord>, Problem> {
    let until = Instant::now() + Duration::from_secs(seconds);
    // Before the first look: an end between the two would go unseen.
    let mut notices = watch(api, id).await?;
    loop {
        let record = api.read_job(id).await?;
        let waits = matches!(&record, Some(record) if matches!(record.state, JobState::Live(_)));
        if !waits || Instant::now() >= until || api.stop.is_cancelled() {
            return Ok(record);
        }
        let look = until.min(Instant::now() + LOOK_EVERY);
        tokio::select! {
            notice = notices.next() => if notice.is_none() {
                sleep_until(look.min(Instant::now() + WATCH_PAUSE)).await;
                notices = watch(api, id).await?;
            },
            () = sleep_until(look) => {}
            () = api.stop.cancelled() => {}
        }
    }
}

async fn watch(api: &Api, id: JobId) -> Result<Notices, Problem> {
    patience::within(api.member.store.watch(Topic::Job(id))).await
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{Wait, asked};

    fn of(query: Option<&str>, prefer: &[&'static str]) -> Option<Wait> {
        let mut headers = HeaderMap::new();
        for value in prefer {
            headers.append("prefer", HeaderValue::from_static(value));
        }
        asked(query, &headers).ok()
    }

    fn wait(seconds: u64, preferred: bool) -> Option<Wait> {
        Some(Wait { seconds, preferred })
    }

    #[test]
    fn the_query_is_held_to_its_range() {
        assert_eq!(of(None, &[]), wait(0, false));
        assert_eq!(of(Some("wait_s=0"), &[]), wait(0, false));
        assert_eq!(of(Some("x=1&wait_s=60&y"), &["wait=3"]), wait(60, false));
        for query in [
            "wait_s=61",
            "wait_s=-1",
            "wait_s=",
            "wait_s=1.5",
            "wait_s=+3",
            "wait_s=%31",
        ] {
            assert_eq!(of(Some(query), &[]), None, "{query}");
        }
    }

    #[test]
    fn a_preference_is_cut_to_its_range_or_ignored() {
        assert_eq!(of(None, &["wait=30"]), wait(30, true));
        assert_eq!(
            of(None, &["respond-async, Wait = \"7\"; x=y"]),
            wait(7, true)
        );
        assert_eq!(
            of(None, &["foo=1", "wait=99999999999999999999"]),
            wait(60, true)
        );
        assert_eq!(of(None, &["wait=soon"]), wait(0, false));
    }
}
