//! The address that a redirect names.

use http::header::LOCATION;
use reqwest::Response;

/// The address of a redirect (RFC 9110, section 10.2.2). The query, the user name and the password are removed, because they
/// may be secrets.
pub(super) fn location(response: &Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let address = location.split(['?', '#']).next()?;
    Some(without_user(address))
}

/// An address without the user name and the password before the host (RFC 3986, section 3.2.1).
fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("//") else {
        return address.to_owned();
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@');
    let user_bytes = user.map_or(0, |(user, _)| user.len() + 1);
    format!("{scheme}//{}", &rest[user_bytes..])
}

#[cfg(test)]
mod tests {
    use super::without_user;

    #[test]
    fn the_address_of_a_redirect_has_no_user() {
        for (address, expected) in [
            ("https://u:pw@x.example/a@b", "https://x.example/a@b"),
            ("https://u:p@w@x.example", "https://x.example"),
            ("//u@x.example/a", "//x.example/a"),
            ("https://x.example/a@b", "https://x.example/a@b"),
            ("/a@b", "/a@b"),
            ("//", "//"),
        ] {
            assert_eq!(without_user(address), expected);
        }
    }
}
