//! The query parameters `limit` and `after`, which ask for a page of a session's turns.

use crate::query_parameters::{AnyParameter, Query, QueryParameter, WholeNumber};

/// The most turns of a page.
const LIMIT_MAX: u64 = 1_000;

/// A page of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The most turns of the page.
    pub(super) limit: usize,
    /// The number of the last turn of the previous page; `None` for the first page.
    after: Option<u64>,
}

impl Page {
    /// The lowest number that a turn of the page can have.
    pub(super) fn from(self) -> u64 {
        self.after.map_or(0, |after| after.saturating_add(1))
    }
}

static LIMIT: QueryParameter<WholeNumber> = QueryParameter {
    name: "limit",
    description: "The most turns of the page.",
    kind: WholeNumber {
        min: 1,
        max: LIMIT_MAX,
        default: None,
    },
};
static AFTER: QueryParameter<WholeNumber> = QueryParameter {
    name: "after",
    description: "The `next_after` of the previous page.",
    kind: WholeNumber {
        min: 0,
        max: u64::MAX,
        default: None,
    },
};

/// The query parameters of the route.
pub(crate) static PARAMETERS: [&dyn AnyParameter; 2] = [&LIMIT, &AFTER];

/// Reads which page a query asks for. `None` without `limit` and `after`: then all turns are shown.
pub(super) fn parse(query: Query<'_>) -> Option<Page> {
    let (limit, after) = (query.get(&LIMIT), query.get(&AFTER));
    if limit.is_none() && after.is_none() {
        return None;
    }
    let limit = limit.unwrap_or(LIMIT_MAX);
    Some(Page {
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        after,
    })
}

#[cfg(test)]
mod tests {
    use super::{PARAMETERS, Page, parse};
    use crate::query_parameters::{Query, faults};

    #[test]
    fn limit_and_after_ask_for_a_page() {
        let page = |limit, after| Some(Page { limit, after });
        assert_eq!(parse(Query(None)), None);
        assert_eq!(parse(Query(Some("limit=1"))), page(1, None));
        assert_eq!(parse(Query(Some("limit=2&after=7"))), page(2, Some(7)));
        assert_eq!(parse(Query(Some("after=0"))), page(1_000, Some(0)));
        for query in ["limit=0", "limit=1001", "after=", "after=-1"] {
            assert!(
                faults(query, &PARAMETERS).into_result().is_err(),
                "query {query}"
            );
        }
    }
}
