//! Parses and validates the body that makes an API key.

use super::{new_key_body::NewKeyBody, schema::NEW_KEY};
use crate::problem::Problem;

/// Parses and validates the body that makes a key.
pub(crate) fn new_key(body: &[u8]) -> Result<NewKeyBody, Problem> {
    NEW_KEY.parse(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::new_key;
    use crate::auth::Scope;

    #[test]
    fn all_faults_are_in_one_answer() {
        let body = json!({
            "tenant": "a b", "scopes": ["write"], "name": "a\nb", "expires_in_s": 0, "user": "x",
        });
        let problem = new_key(body.to_string().as_bytes()).expect_err("the body has faults");
        let faults = problem.errors().iter();
        let faults: Vec<_> = faults
            .map(|error| (error.field.as_str(), error.message.as_str()))
            .collect();
        assert_eq!(
            faults,
            [
                (
                    "tenant",
                    "must be a string of 1 to 128 characters from A-Z a-z 0-9 . _ @ -"
                ),
                ("scopes[0]", "must be one of submit, read, admin"),
                (
                    "name",
                    "must be a string of 1 to 100 characters without control characters"
                ),
                (
                    "expires_in_s",
                    "must be a whole number of seconds from 1 to 315360000"
                ),
                (
                    "user",
                    "is an unknown field; the fields are tenant, scopes, name, expires_in_s"
                ),
            ]
        );
        let problem = new_key(b"{}").expect_err("no tenant");
        assert_eq!(problem.errors()[0].message, "is required");
    }

    #[test]
    fn a_valid_body_is_read() {
        let body =
            json!({ "tenant": "shop", "scopes": ["admin"], "expires_in_s": 60.0, "name": null });
        let read = new_key(body.to_string().as_bytes()).expect("a valid body");
        assert_eq!((read.tenant.as_str(), read.name), ("shop", None));
        assert_eq!(read.scopes, Some(vec![Scope::Admin]));
        assert_eq!(read.expires_in_s, Some(60));
    }
}
