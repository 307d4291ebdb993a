//! Checks the headers that describe a body: it must be JSON, in UTF-8, and not compressed.
//!
//! A `Content-Type` of JSON is also required because pages of other origins must not submit: a browser lets any page send a body without
//! this header, or with the type of a form. Before it sends JSON for such a page, it asks the gateway with a preflight request.

use axum::http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::{
    problem::{FieldError, MERGE_PATCH, Problem, RequestPart},
    problem_code::ProblemCode,
};

/// Refuses a body that its headers do not describe as uncompressed JSON. The media types of patches,
/// which also end with `+json`, are refused: their senders want to change only a part.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let is_json = |media_type: &str| {
        let is_patch = matches!(media_type, MERGE_PATCH | "application/json-patch+json");
        media_type == "application/json"
            || (media_type.starts_with("application/")
                && media_type.ends_with("+json")
                && !is_patch)
    };
    let message = "must be application/json; curl sets it with --json instead of -d";
    check_type(headers, is_json, message)
}

/// Refuses a body that its headers do not describe as an uncompressed JSON Merge Patch. `Accept-Patch` names the accepted type
/// (RFC 5789, section 2.2).
pub(crate) fn check_merge_patch(headers: &HeaderMap) -> Result<(), Problem> {
    let message = "must be application/merge-patch+json";
    check_type(headers, |media_type| media_type == MERGE_PATCH, message)
        .map_err(Problem::accepting_merge_patch)
}

fn check_type(
    headers: &HeaderMap,
    is_accepted: impl FnOnce(&str) -> bool,
    message: &str,
) -> Result<(), Problem> {
    let is_encoded = headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        let value = value.to_str().unwrap_or("?");
        let mut codings = value.split(',').map(str::trim);
        codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    });
    let mut errors = Vec::new();
    if is_encoded {
        let message = String::from("must be absent: send the body without compression");
        errors.push(error("Content-Encoding", message));
    }
    if let Some(message) = type_fault(headers, is_accepted, message) {
        errors.push(error("Content-Type", message));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let problem = Problem::with_errors(ProblemCode::UnsupportedMediaType, errors);
    Err(if is_encoded {
        problem.accepting_identity()
    } else {
        problem
    })
}

/// Why the header `Content-Type` is refused; `None` if it is accepted. `message` is for a type that is not accepted.
fn type_fault(
    headers: &HeaderMap,
    is_accepted: impl FnOnce(&str) -> bool,
    message: &str,
) -> Option<String> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return Some(format!("there must be one; it {message}"));
    };
    let content_type = content_type.to_str().unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    if !is_accepted(&media_type) {
        return Some(message.to_owned());
    }
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let charset = value.trim().trim_matches('"');
            ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(charset))
        }
        _ => true,
    };
    let message = "must name no charset but utf-8 or us-ascii, because JSON is UTF-8";
    (!parts.all(is_utf8)).then(|| message.to_owned())
}

fn error(header: &str, message: String) -> FieldError {
    FieldError {
        field: header.to_owned(),
        part: RequestPart::Header,
        message,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{check, check_merge_patch};

    fn accepts(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        check(&map).is_ok()
    }

    #[test]
    fn only_json_content_types_are_accepted() {
        let accepts = |content_type| accepts(&[("content-type", content_type)]);
        assert!(accepts("application/json"));
        assert!(accepts("Application/JSON; charset=\"UTF-8\""));
        assert!(accepts("application/vnd.x+json"));
        assert!(!accepts("application/json; charset=utf-16"));
        assert!(!accepts("text/plain"));
        assert!(!accepts("application/x-www-form-urlencoded"));
        assert!(!accepts(""));
    }

    #[test]
    fn a_content_type_is_required_once() {
        let json = ("content-type", "application/json");
        assert!(!accepts(&[]));
        assert!(!accepts(&[json, ("content-type", "text/plain")]));
        assert!(accepts(&[json]));
    }

    #[test]
    fn a_patch_has_the_type_of_merge_patches() {
        for (content_type, is_accepted) in [
            ("application/merge-patch+json", true),
            ("Application/Merge-Patch+JSON; charset=utf-8", true),
            ("application/json", false),
            ("application/json-patch+json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(content_type));
            assert_eq!(
                check_merge_patch(&headers).is_ok(),
                is_accepted,
                "{content_type}"
            );
        }
    }

    #[test]
    fn the_faults_of_both_headers_are_named() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        let problem = check(&headers).expect_err("two faults");
        let fields = problem.errors().iter().map(|error| error.field.as_str());
        assert_eq!(
            fields.collect::<Vec<_>>(),
            ["Content-Encoding", "Content-Type"]
        );
    }

    #[test]
    fn compressed_bodies_are_refused() {
        let json = ("content-type", "application/json");
        for coding in ["gzip", "identity, br", "x"] {
            assert!(!accepts(&[json, ("content-encoding", coding)]), "{coding}");
        }
        assert!(accepts(&[json, ("content-encoding", "Identity")]));
    }
}
