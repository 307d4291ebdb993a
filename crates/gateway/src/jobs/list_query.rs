//! The query parameters of `GET /v1/jobs`.

use forebay_shared::{
    ids::{JobId, SESSION_ID_ALLOWED, SESSION_ID_BYTES_MAX, SessionId},
    job::Status,
    store::ListPosition,
    time::TimeMs,
};

use serde_json::{Value, json};

use crate::query_parameters::{
    AnyParameter, Cursor, Order, Query, QueryParameter, Time, ValueKind, WholeNumber, cursor,
    list_limit, order, page_limit,
};

/// The statuses that `status` may name.
const STATUSES: [Status; 6] = [
    Status::Queued,
    Status::InProgress,
    Status::Completed,
    Status::Failed,
    Status::Cancelled,
    Status::Expired,
];
/// The version of the cursor's format. A cursor begins with it.
const CURSOR_VERSION: &str = "1";

/// Which jobs a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListRequest {
    pub(super) session: Option<SessionId>,
    /// Empty for all.
    pub(super) statuses: Vec<Status>,
    /// By the system's clock, as users see times.
    pub(super) created_after: Option<TimeMs>,
    /// By the system's clock, as users see times.
    pub(super) created_before: Option<TimeMs>,
    pub(super) is_oldest_first: bool,
    pub(super) limit: usize,
    /// The last position that the previous page read.
    pub(super) cursor: Option<ListPosition>,
}

static SESSION_ID: QueryParameter<SessionText> = QueryParameter {
    name: "session_id",
    description: "Only jobs of this session.",
    kind: SessionText,
};
static STATUS: QueryParameter<Statuses> = QueryParameter {
    name: "status",
    description: "Only jobs in one of these states, separated by commas.",
    kind: Statuses,
};
static CREATED_AFTER: QueryParameter<Time> = QueryParameter {
    name: "created_after",
    description: "Only jobs created after this time (RFC 3339).",
    kind: Time,
};
static CREATED_BEFORE: QueryParameter<Time> = QueryParameter {
    name: "created_before",
    description: "Only jobs created before this time (RFC 3339).",
    kind: Time,
};
static ORDER: QueryParameter<Order> =
    order("`asc` begins with the oldest job, `desc` with the newest.");
static LIMIT: QueryParameter<WholeNumber> = list_limit("The most jobs of the page.");
static CURSOR: QueryParameter<Cursor<ListPosition>> = cursor(
    "The `next_cursor` of the previous page. The other parameters should be the same.",
    read_cursor,
);

/// The query parameters of the route.
pub(crate) static PARAMETERS: [&dyn AnyParameter; 7] = [
    &SESSION_ID,
    &STATUS,
    &CREATED_AFTER,
    &CREATED_BEFORE,
    &ORDER,
    &LIMIT,
    &CURSOR,
];

/// Reads the parameters.
pub(super) fn parse(query: Query<'_>) -> ListRequest {
    ListRequest {
        session: query.get(&SESSION_ID),
        statuses: query.get(&STATUS).unwrap_or_default(),
        created_after: query.get(&CREATED_AFTER),
        created_before: query.get(&CREATED_BEFORE),
        is_oldest_first: query.get(&ORDER).unwrap_or_default(),
        limit: page_limit(query, &LIMIT),
        cursor: query.get(&CURSOR),
    }
}

/// The id of a session.
struct SessionText;

impl ValueKind for SessionText {
    type Value = SessionId;

    fn read(&self, text: &str) -> Option<SessionId> {
        SessionId::parse(text).ok()
    }

    fn allowed(&self) -> String {
        format!("must be {SESSION_ID_ALLOWED}")
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": SESSION_ID_BYTES_MAX})
    }
}

/// One or more statuses, separated by commas.
struct Statuses;

impl Statuses {
    fn names(separator: &str) -> String {
        STATUSES.map(Status::as_str).join(separator)
    }
}

impl ValueKind for Statuses {
    type Value = Vec<Status>;

    fn read(&self, text: &str) -> Option<Vec<Status>> {
        let status = |word: &str| STATUSES.into_iter().find(|status| status.as_str() == word);
        text.split(',').map(status).collect()
    }

    fn allowed(&self) -> String {
        format!(
            "must be one or more of {}, separated by commas",
            Self::names(", ")
        )
    }

    fn schema(&self) -> Value {
        let names = Self::names("|");
        json!({"type": "string", "pattern": format!("^({names})(,({names}))*$")})
    }
}

/// The cursor of the page that begins after this position.
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
    // Other forms of the same position, such as numbers with leading zeros, are refused.
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

    use super::{PARAMETERS, parse, read_cursor, write_cursor};
    use crate::query_parameters::{Query, faults};

    #[test]
    fn parameters_are_read_and_decoded() {
        let request = parse(Query(Some(
            "session_id=a%2Fb+c&status=failed,expired&created_after=1970-01-01T00:00:01Z&created_before=1970-01-01T01:00:02+01:00&order=asc&limit=100",
        )));
        assert_eq!(request.session.expect("a session").as_str(), "a/b c");
        assert_eq!(request.statuses, [Status::Failed, Status::Expired]);
        assert_eq!(request.created_after, Some(TimeMs(1_000)));
        assert_eq!(request.created_before, Some(TimeMs(2_000)));
        assert!(request.is_oldest_first);
        assert_eq!(request.limit, 100);
        let default = parse(Query(None));
        assert!(!default.is_oldest_first && default.cursor.is_none());
        assert_eq!(default.limit, 20);
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
            "limit",
            "cursor=",
            "cursor=x",
        ] {
            let faults = faults(query, &PARAMETERS);
            assert!(faults.into_result().is_err(), "query {query}");
        }
    }

    #[test]
    fn a_cursor_is_read_back_and_other_texts_are_refused() {
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
