//! The query parameters of `GET /v1/admin/keys`.

use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    ids::TenantId,
    time::TimeMs,
};

use crate::{
    list_parameters::{self, LIST_LIMIT_DEFAULT},
    problem::Problem,
};

/// The version of a cursor's form, which is its first part.
const CURSOR_VERSION: &str = "1";

/// Which keys a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListRequest {
    pub(super) tenant: Option<TenantId>,
    pub(super) limit: usize,
    /// The last key of the page before.
    pub(super) cursor: Option<KeyPosition>,
}

/// The position of a key in the list, which does not depend on other keys.
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

    /// The cursor of a page that ends with this position.
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
        // There is one text for each position.
        (position.to_cursor() == text).then_some(position)
    }
}

/// Reads the parameters. Of several with the same name, the last one counts. The error names each wrong parameter.
pub(super) fn parse(query: Option<&str>) -> Result<ListRequest, Problem> {
    let mut request = ListRequest {
        tenant: None,
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
            "tenant" => {
                self.tenant = TenantId::parse(text).ok();
                self.tenant.is_some()
            }
            "limit" => {
                let limit = list_parameters::limit(text);
                self.limit = limit.unwrap_or(LIST_LIMIT_DEFAULT);
                limit.is_some()
            }
            "cursor" => {
                self.cursor = KeyPosition::of_cursor(text);
                self.cursor.is_some()
            }
            _ => true,
        }
    }
}

/// What a parameter accepts.
fn allowed(name: &str) -> String {
    match name {
        "tenant" => String::from("must be 1 to 128 characters from A-Z a-z 0-9 . _ : @ -"),
        _ => list_parameters::allowed(name),
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{api_key::ApiKeyId, time::TimeMs};

    use super::{KeyPosition, parse};

    #[test]
    fn parameters_are_read_and_wrong_ones_are_refused() {
        let request = parse(Some("tenant=a%40b&limit=100")).expect("valid");
        assert_eq!(request.tenant.expect("a tenant").as_str(), "a@b");
        assert_eq!(request.limit, 100);
        for query in [
            "tenant=",
            "tenant=a+b",
            "limit=0",
            "limit=101",
            "limit=%2B1",
            "cursor=",
            "cursor=x",
        ] {
            assert!(parse(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn a_cursor_is_read_back_and_no_other_text_is() {
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
