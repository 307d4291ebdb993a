//! The query parameters `limit` and `after`, which ask for a page of a session's turns.

use crate::problem::Problem;

/// The most turns of a page.
pub(crate) const LIMIT_MAX: usize = 1_000;

/// A page of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The most turns of the page.
    pub(super) limit: usize,
    /// The number of the last turn of the page before; `None` for the first page.
    after: Option<u64>,
}

impl Page {
    /// The number of the page's first turn.
    pub(super) fn from(self) -> u64 {
        self.after.map_or(0, |after| after.saturating_add(1))
    }
}

/// Reads which page a query asks for. `None` without `limit` and `after`: then all turns are shown. Of several parameters with
/// the same name, the last one counts.
pub(super) fn parse(query: Option<&str>) -> Result<Option<Page>, Problem> {
    let limit = last(query, "limit=").map(|text| {
        let limit = digits(text).and_then(|limit| usize::try_from(limit).ok());
        limit
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| {
                let message = format!("must be a whole number from 1 to {LIMIT_MAX}");
                Problem::invalid_field("limit", message)
            })
    });
    let after = last(query, "after=").map(|text| {
        digits(text).ok_or_else(|| {
            let message = "must be the next_after of the page before";
            Problem::invalid_field("after", message)
        })
    });
    let (limit, after) = (limit.transpose()?, after.transpose()?);
    if limit.is_none() && after.is_none() {
        return Ok(None);
    }
    Ok(Some(Page {
        limit: limit.unwrap_or(LIMIT_MAX),
        after,
    }))
}

fn last<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.strip_prefix(name)).next_back()
}

fn digits(text: &str) -> Option<u64> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Page, parse};

    #[test]
    fn limit_and_after_ask_for_a_page() {
        let parsed = |query| parse(query).ok();
        let page = |limit, after| Some(Some(Page { limit, after }));
        assert_eq!(parsed(None), Some(None));
        assert_eq!(parsed(Some("x=1")), Some(None));
        assert_eq!(parsed(Some("limit=1")), page(1, None));
        assert_eq!(parsed(Some("limit=2&after=7")), page(2, Some(7)));
        assert_eq!(parsed(Some("after=0")), page(1_000, Some(0)));
        for query in [
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=a",
            "after=",
            "after=-1",
            "after=x",
        ] {
            assert_eq!(parsed(Some(query)), None, "query {query}");
        }
    }
}
