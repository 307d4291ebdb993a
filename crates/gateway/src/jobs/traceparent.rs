//! The `traceparent` header of a submit (W3C Trace Context, level 1). The header is stored with the job, so that
//! the provider call can join the client's trace. An invalid header is ignored, as the standard requires.

use axum::http::HeaderMap;

/// The header's value, if the request has exactly one and it is valid.
pub(super) fn parse(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let text = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_valid(text)).then(|| text.to_owned())
}

/// Checks the form `version-traceid-parentid-flags` in lower-case hex. Neither id may be all zeros, and
/// version `ff` is invalid.
fn is_valid(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    let [version, trace_id, parent_id, flags] = parts.as_slice() else {
        return false;
    };
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_not_zero = |part: &str| part.bytes().any(|byte| byte != b'0');
    is_hex(version, 2)
        && *version != "ff"
        && is_hex(trace_id, 32)
        && is_not_zero(trace_id)
        && is_hex(parent_id, 16)
        && is_not_zero(parent_id)
        && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn only_a_traceparent_in_the_standard_form_is_valid() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_valid(good));
        for bad in [
            "",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_valid(bad), "{bad} was accepted");
        }
    }
}
