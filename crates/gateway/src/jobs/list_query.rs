//! The query parameters of `GET /v1/jobs`.

use forebay_shared::{
    ids::{JobId, SESSION_ID_ALLOWED, SessionId},
    job::Status,
    store::ListPosition,
    time::TimeMs,
};

use crate::{
    list_parameters::{self, LIST_LIMIT_DEFAULT},
    problem::Problem,
};

/// The statuses that `status` may name.
pub(crate) const STATUSES: [Status; 6] = [
    Status::Queued,
    Status::InProgress,
    Status::Completed,
    Status::Failed,
    Status::Cancelled,
    Status::Expired,
];
/// The version of a cursor's form, which is its first part.
const CURSOR_VERSION: &str = "1";

/// Which jobs a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListRequest {
    pub(super) session: Option<SessionId>,
    /// Empty for all.
    pub(super) statuses: Vec<Status>,
    /// As the user sees times.
    pub(super) created_after: Option<TimeMs>,
    /// As the user sees times.
    pub(super) created_before: Option<TimeMs>,
    pub(super) is_oldest_first: bool,
    pub(super) limit: usize,
    pub(super) cursor: Option<ListPosition>,
}

/// Reads the parameters. Of several with the same name, the last one counts. The error names each wrong parameter.
pub(super) fn parse(query: Option<&str>) -> Result<ListRequest, Problem> {
    let mut request = ListRequest {
        session: None,
        statuses: Vec::new(),
        created_after: None,
        created_before: None,
        is_oldest_first: false,
        limit: LIST_LIMIT_DEFAULT,
        cursor: None,
    };
    let set = |name: &str, text: &str| request.set(name, text);
    list_parameters::read(query, set, allowed)?;
    Ok(request)
}

impl ListRequest {
    /// Sets a parameter. Returns whether the text is valid. Other names are not refused here.
    fn set(&mut self, name: &str, text: &str) -> bool {
        match name {
            "session_id" => {
                self.session = SessionId::parse(text).ok();
                self.session.is_some()
            }
            "status" => {
                let status = |word: &str| STATUSES.into_iter().find(|s| s.as_str() == word);
                let statuses: Option<Vec<Status>> = text.split(',').map(status).collect();
                statuses.is_some_and(|statuses| {
                    self.statuses = statuses;
                    true
                })
            }
            "created_after" => {
                self.created_after = time(text);
                self.created_after.is_some()
            }
            "created_before" => {
                self.created_before = time(text);
                self.created_before.is_some()
            }
            "order" => {
                self.is_oldest_first = text == "asc";
                matches!(text, "asc" | "desc")
            }
            "limit" => {
                let limit = list_parameters::limit(text);
                self.limit = limit.unwrap_or(LIST_LIMIT_DEFAULT);
                limit.is_some()
            }
            "cursor" => {
                self.cursor = read_cursor(text);
                self.cursor.is_some()
            }
            _ => true,
        }
    }
}

/// What a parameter accepts.
fn allowed(name: &str) -> String {
    match name {
        "session_id" => format!("must be {SESSION_ID_ALLOWED}"),
        "status" => {
            let names: Vec<&str> = STATUSES.iter().map(|status| status.as_str()).collect();
            format!("must be one or more of {}, with commas", names.join(", "))
        }
        "created_after" | "created_before" => {
            String::from("must be a time in the form of RFC 3339, such as 2026-01-31T12:00:00Z")
        }
        _ => list_parameters::allowed(name),
    }
}

/// A `+` is a space in a query, but clients often send the offset of a time without encoding.
fn time(text: &str) -> Option<TimeMs> {
    TimeMs::parse_rfc3339(&text.replace(' ', "+"))
}

/// The cursor of a page that ends with this position.
pub(super) fn write_cursor(position: ListPosition) -> String {
    let ListPosition { created_at, job } = position;
    format!("{CURSOR_VERSION}.{}.{job}", created_at.0)
}

fn read_cursor(text: &str) -> Option<ListPosition> {
    let mut parts = text.splitn(3, '.');
    if parts.next()? != CURSOR_VERSION {
        return None;
    }
    let created_at = TimeMs(parts.next()?.parse().ok()?);
    let job = JobId::parse(parts.next()?).ok()?;
    let position = ListPosition { created_at, job };
    // There is one text for each position.
    (write_cursor(position) == text).then_some(position)
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        ids::{JobId, TenantId},
        job::Status,
        store::ListPosition,
        time::TimeMs,
    };

    use super::{parse, read_cursor, write_cursor};

    #[test]
    fn all_parameters_are_read_and_decoded() {
        let request = parse(Some(
            "session_id=a%2Fb+c&status=failed,expired&created_after=1970-01-01T00:00:01Z&created_before=1970-01-01T01:00:02+01:00&order=asc&limit=100",
        ));
        let request = request.expect("the parameters are valid");
        assert_eq!(request.session.expect("a session").as_str(), "a/b c");
        assert_eq!(request.statuses, [Status::Failed, Status::Expired]);
        assert_eq!(request.created_after, Some(TimeMs(1_000)));
        assert_eq!(request.created_before, Some(TimeMs(2_000)));
        assert!(request.is_oldest_first);
        assert_eq!(request.limit, 100);
        let default = parse(None).expect("no parameter is required");
        assert!(!default.is_oldest_first && default.cursor.is_none());
    }

    #[test]
    fn a_wrong_parameter_is_refused() {
        for query in [
            "session_id=",
            "session_id=%00",
            "session_id=%2",
            "session_id=%FF",
            "status=",
            "status=done",
            "status=failed,",
            "created_after=yesterday",
            "created_before=",
            "order=up",
            "limit=0",
            "limit=101",
            "limit=%2B1",
            "limit=",
            "limit",
            "cursor=",
            "cursor=x",
            "limit=1&limit=x",
        ] {
            assert!(parse(Some(query)).is_err(), "query {query}");
        }
        assert!(parse(Some("limit=x&limit=1")).is_ok());
    }

    #[test]
    fn a_cursor_is_read_back_and_no_other_text_is() {
        let position = ListPosition {
            created_at: TimeMs(12),
            job: JobId::fresh(&TenantId::default(), None),
        };
        let cursor = write_cursor(position);
        assert_eq!(read_cursor(&cursor), Some(position));
        for text in [
            cursor.replacen('1', "2", 1),
            cursor.replace(".12.", ".012."),
            cursor.replace(".12.", ".-1."),
            format!("{cursor}0"),
            String::from("1.12."),
        ] {
            assert_eq!(read_cursor(&text), None, "{text}");
        }
    }
}
