//! The query parameters of `GET /v1/admin/keys`.

use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    ids::TenantId,
    time::TimeMs,
};

use serde_json::Value;

use crate::{
    query_parameters::{
        AnyParameter, Cursor, Query, QueryParameter, ValueKind, WholeNumber, cursor, list_limit,
        page_limit,
    },
    tenant_name,
};

/// The version of the cursor's format. A cursor begins with it.
const CURSOR_VERSION: &str = "1";

/// Which keys a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListRequest {
    pub(super) tenant: Option<TenantId>,
    pub(super) limit: usize,
    /// The last key of the previous page.
    pub(super) cursor: Option<KeyPosition>,
}

/// The position of a key in the list. It does not depend on the other keys, so it stays valid while keys are made and revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPosition {
    created_at: TimeMs,
    id: ApiKeyId,
}

impl KeyPosition {
    pub(super) fn of(key: &ApiKey) -> Self {
        Self {
            created_at: key.created_at,
            id: key.id.clone(),
        }
    }

    /// The cursor of the page that begins after this position.
    pub(super) fn to_cursor(&self) -> String {
        format!("{CURSOR_VERSION}.{}.{}", self.created_at.0, self.id)
    }

    fn of_cursor(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        if parts.next()? != CURSOR_VERSION {
            return None;
        }
        let created_at = TimeMs(parts.next()?.parse().ok()?);
        let id = ApiKeyId::parse(parts.next()?).ok()?;
        let position = Self { created_at, id };
        // Other forms of the same position, such as numbers with leading zeros, are refused.
        (position.to_cursor() == text).then_some(position)
    }
}

static TENANT: QueryParameter<TenantText> = QueryParameter {
    name: "tenant",
    description: "Only keys of this tenant.",
    kind: TenantText,
};
static LIMIT: QueryParameter<WholeNumber> = list_limit("The most keys of the page.");
static CURSOR: QueryParameter<Cursor<KeyPosition>> = cursor(
    "The `next_cursor` of the previous page.",
    KeyPosition::of_cursor,
);

/// The query parameters of the route.
pub(crate) static PARAMETERS: [&dyn AnyParameter; 3] = [&TENANT, &LIMIT, &CURSOR];

/// Reads the parameters.
pub(super) fn parse(query: Query<'_>) -> ListRequest {
    ListRequest {
        tenant: query.get(&TENANT),
        limit: page_limit(query, &LIMIT),
        cursor: query.get(&CURSOR),
    }
}

/// The name of a tenant.
struct TenantText;

impl ValueKind for TenantText {
    type Value = TenantId;

    fn read(&self, text: &str) -> Option<TenantId> {
        tenant_name::parse(text)
    }

    fn allowed(&self) -> String {
        format!("must be {}", tenant_name::ALLOWED)
    }

    fn schema(&self) -> Value {
        tenant_name::schema()
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{api_key::ApiKeyId, time::TimeMs};

    use super::{KeyPosition, PARAMETERS, parse};
    use crate::query_parameters::{Query, faults};

    #[test]
    fn parameters_are_read_and_wrong_ones_are_refused() {
        let request = parse(Query(Some("tenant=a%40b&limit=100")));
        assert_eq!(request.tenant.expect("a tenant").as_str(), "a@b");
        assert_eq!(request.limit, 100);
        for query in [
            "tenant=",
            "tenant=a+b",
            "tenant=a:b",
            "limit=0",
            "limit=101",
            "limit=%2B1",
            "cursor=",
            "cursor=x",
        ] {
            assert!(faults(query, &PARAMETERS).into_result().is_err(), "{query}");
        }
    }

    #[test]
    fn a_cursor_is_read_back_and_other_texts_are_refused() {
        let position = KeyPosition {
            created_at: TimeMs(12),
            id: ApiKeyId::parse("key_0123456789abcDEF").expect("an id"),
        };
        let cursor = position.to_cursor();
        assert_eq!(KeyPosition::of_cursor(&cursor), Some(position));
        for text in [
            cursor.replacen('1', "2", 1),
            cursor.replace(".12.", ".012."),
            format!("{cursor}0"),
        ] {
            assert_eq!(KeyPosition::of_cursor(&text), None, "{text}");
        }
    }
}
