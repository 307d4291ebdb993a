//! `GET /v1/sessions`: lists the tenant's sessions in the order of their creation, in pages. This is no use of the sessions.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use forebay_shared::{
    ids::SessionId,
    store::{ListedSession, SessionListQuery, SessionPosition},
    time::TimeMs,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{settings, view::json};
use crate::{
    auth::Caller,
    problem::{FieldError, Problem},
    reserved_body::reserved_body,
    state::ApiState,
    store_call,
    validation::ATTRIBUTES_BYTES_MAX,
};

/// The most sessions of a page.
pub(crate) const LIST_LIMIT_MAX: usize = 100;
/// The sessions of a page without `limit`.
pub(crate) const LIST_LIMIT_DEFAULT: usize = 20;
/// The memory of a listed session: its attributes as text and in the response.
const BYTES_FOR_EACH_SESSION: u64 = 8 * ATTRIBUTES_BYTES_MAX as u64;
/// How many parts of the list one page reads. Parts may consist of sessions that have expired.
const READS_MAX: u32 = 8;
/// The version of a cursor's form, which is its first part.
const CURSOR_VERSION: &str = "1";

/// A page of sessions.
// Only its schema is used: a response is written in pieces.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is used")]
pub(crate) struct SessionList<'a> {
    #[schemars(extend("const" = "list"))]
    object: &'static str,
    data: Vec<ListedView<'a>>,
    /// The `cursor` of the next page; null after the last session.
    next_cursor: Option<String>,
}

/// A session in a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListedSession")]
struct ListedView<'a> {
    id: &'a SessionId,
    #[schemars(extend("const" = "session"))]
    object: &'static str,
    turn_count: u64,
    /// The object that a client has set.
    attributes: &'a Map<String, Value>,
    /// The model of the session's defaults.
    default_model: Option<&'a str>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    updated_at: String,
    /// Null while the session has live jobs.
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    live_jobs: usize,
}

/// Lists sessions.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (limit, is_oldest_first, after) = parse(query.as_deref())?;
    // Each part of a list reads all partitions of the store, so few are read at the same time.
    let _permit = state.list_permit().await?;
    let sessions = u64::try_from(limit).unwrap_or(u64::MAX);
    let reserved = state
        .reserve_read(sessions.saturating_mul(BYTES_FOR_EACH_SESSION))
        .await?;
    let mut query = SessionListQuery {
        tenant: caller.tenant().clone(),
        is_oldest_first,
        after,
        limit,
    };
    let mut data: Vec<Vec<u8>> = Vec::new();
    let mut next = None;
    for _ in 0..READS_MAX {
        query.limit = limit - data.len();
        let listing = state.member.store.list_sessions(&query);
        let listed = store_call::with_timeout(listing).await?;
        next = listed.last().map(|last| last.position.clone());
        query.after.clone_from(&next);
        for session in listed {
            data.extend(shown(&state, session)?);
        }
        if next.is_none() || data.len() >= limit {
            break;
        }
    }
    let mut json = b"{\"object\":\"list\",\"data\":[".to_vec();
    json.extend(data.join(&b','));
    json.extend_from_slice(b"],\"next_cursor\":");
    json.extend(self::json(&next.as_ref().map(write_cursor))?);
    json.push(b'}');
    let json_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = reserved_body(vec![json], Some(reserved));
    Ok(([json_type], body).into_response())
}

/// A session of the list as JSON. Its parsed attributes may take much more memory than their text, so they are written at once. `None`
/// if there is none at the position, or if this release cannot read it, which must not hide all others.
fn shown(state: &ApiState, listed: ListedSession) -> Result<Option<Vec<u8>>, Problem> {
    let ListedSession { position, info } = listed;
    let Some(mut info) = info else {
        return Ok(None);
    };
    let Some(Ok(settings)) = info.settings.take().map(|stored| settings::parse(&stored)) else {
        return Ok(None);
    };
    json(&ListedView {
        id: &position.session,
        object: "session",
        turn_count: info.turn_count,
        attributes: &settings.attributes.values,
        default_model: settings.model.as_deref(),
        created_at: state.show(info.created_at),
        updated_at: state.show(info.updated_at),
        expires_at: info.expires_at.map(|time| state.show(time)),
        live_jobs: info.live_jobs,
    })
    .map(Some)
}

/// Reads the parameters: the limit, whether the oldest session comes first, and where the page begins. Of several with the same name, the
/// last one counts.
fn parse(query: Option<&str>) -> Result<(usize, bool, Option<SessionPosition>), Problem> {
    let last = |name: &str| {
        let pairs = query.unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(known, _)| *known == name)
            .map(|(_, text)| text)
            .next_back()
    };
    let mut errors: Vec<FieldError> = Vec::new();
    let mut refuse = |field: &str, message: String| {
        let field = field.to_owned();
        errors.push(FieldError { field, message });
    };
    let mut limit = LIST_LIMIT_DEFAULT;
    if let Some(text) = last("limit") {
        let only_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number @ 1..=LIST_LIMIT_MAX) if only_digits => limit = number,
            _ => refuse(
                "limit",
                format!("must be a whole number from 1 to {LIST_LIMIT_MAX}"),
            ),
        }
    }
    let is_oldest_first = last("order").is_some_and(|order| order == "asc");
    if last("order").is_some_and(|order| !matches!(order, "asc" | "desc")) {
        refuse("order", String::from("must be asc or desc"));
    }
    let after = last("cursor").map(read_cursor);
    if matches!(after, Some(None)) {
        refuse(
            "cursor",
            String::from("must be the next_cursor of another page"),
        );
    }
    if errors.is_empty() {
        Ok((limit, is_oldest_first, after.flatten()))
    } else {
        Err(Problem::invalid_fields(errors))
    }
}

/// The position as a text whose form clients need not know.
fn write_cursor(position: &SessionPosition) -> String {
    let mut cursor = format!("{CURSOR_VERSION}.{}.", position.created_at.0);
    for byte in position.session.as_str().bytes() {
        // A write to a string cannot fail.
        let _always_ok = write!(cursor, "{byte:02x}");
    }
    cursor
}

fn read_cursor(text: &str) -> Option<SessionPosition> {
    let mut parts = text.split('.');
    let (version, created_at, hex) = (parts.next()?, parts.next()?, parts.next()?);
    if version != CURSOR_VERSION || parts.next().is_some() || hex.len() % 2 != 0 {
        return None;
    }
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let bytes = digits?
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect();
    Some(SessionPosition {
        created_at: TimeMs(created_at.parse().ok()?),
        session: SessionId::parse(&String::from_utf8(bytes).ok()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use forebay_shared::{ids::SessionId, store::SessionPosition, time::TimeMs};

    use super::{parse, read_cursor, write_cursor};

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for id in ["s", "a.b/ü\u{1f980}|&=%"] {
            let position = SessionPosition {
                created_at: TimeMs(1_764_000_000_000),
                session: SessionId::parse(id).expect("a valid id"),
            };
            let cursor = write_cursor(&position);
            assert!(
                cursor
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            );
            assert_eq!(read_cursor(&cursor), Some(position));
        }
        for text in [
            "", "1", "1.5", "1.5.", "2.5.61", "1.x.61", "1.5.6", "1.5.zz", "1.5.ff", "1.5.61.",
            "1.5.é",
        ] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn the_parameters_are_checked() {
        let parsed = |query| {
            parse(Some(query))
                .ok()
                .map(|(limit, oldest, _)| (limit, oldest))
        };
        assert_eq!(parsed(""), Some((20, false)));
        assert_eq!(parsed("limit=100&order=asc"), Some((100, true)));
        for query in [
            "limit=0",
            "limit=101",
            "limit=",
            "limit=%2B1",
            "order=x",
            "cursor=x",
        ] {
            assert_eq!(parsed(query), None, "{query}");
        }
    }
}
