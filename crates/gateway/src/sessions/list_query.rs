//! The query parameters of `GET /v1/sessions`.

use std::fmt::Write as _;

use forebay_shared::{ids::SessionId, store::SessionPosition, time::TimeMs};

use crate::query_parameters::{
    AnyParameter, Cursor, Order, Query, QueryParameter, WholeNumber, cursor, list_limit, order,
    page_limit,
};

/// The version of the cursor's format. A cursor begins with it.
const CURSOR_VERSION: &str = "1";

/// Which sessions a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListRequest {
    pub(super) limit: usize,
    pub(super) is_oldest_first: bool,
    /// The last session of the previous page.
    pub(super) after: Option<SessionPosition>,
}

static ORDER: QueryParameter<Order> =
    order("`desc` begins with the newest session, `asc` with the oldest.");
static LIMIT: QueryParameter<WholeNumber> = list_limit("The most sessions of the page.");
static CURSOR: QueryParameter<Cursor<SessionPosition>> = cursor(
    "The `next_cursor` of the previous page. `order` should be the same as for that page.",
    read_cursor,
);

/// The query parameters of the route.
pub(crate) static PARAMETERS: [&dyn AnyParameter; 3] = [&ORDER, &LIMIT, &CURSOR];

/// Reads the parameters.
pub(super) fn parse(query: Query<'_>) -> ListRequest {
    ListRequest {
        limit: page_limit(query, &LIMIT),
        is_oldest_first: query.get(&ORDER).unwrap_or_default(),
        after: query.get(&CURSOR),
    }
}

/// The position as a text whose form clients need not know.
pub(super) fn write_cursor(position: &SessionPosition) -> String {
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

    use super::{PARAMETERS, parse, read_cursor, write_cursor};
    use crate::query_parameters::{Query, faults};

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
    fn the_parameters_are_read_and_checked() {
        let parsed = |query| {
            let request = parse(Query(Some(query)));
            (request.limit, request.is_oldest_first)
        };
        assert_eq!(parsed(""), (20, false));
        assert_eq!(parsed("limit=100&order=asc"), (100, true));
        for query in ["limit=0", "limit=101", "order=x", "cursor=x"] {
            assert!(faults(query, &PARAMETERS).into_result().is_err(), "{query}");
        }
    }
}
