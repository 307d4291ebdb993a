//! Reads an error in Google's form: `google.rpc.Status` as JSON. Gemini's own API returns it, and so does Google's
//! OpenAI-compatible endpoint.
//!
//! `quota` recognises daily quotas and quotas of 0, for which a retry is useless.

mod quota;

use serde_json::Value;

use super::retry_after;

/// Whether the key is wrong. Gemini answers 400 to a wrong key.
pub(super) fn is_key_invalid(error: &Value) -> bool {
    details(error).any(|detail| detail["reason"] == "API_KEY_INVALID")
}

/// Whether an error with status 429 names a daily quota or a quota of 0.
pub(super) fn is_quota_exhausted(error: &Value) -> bool {
    quota::is_exhausted(error)
}

/// The delay of `google.rpc.RetryInfo`, in milliseconds.
pub(super) fn retry_delay_ms(error: &Value) -> Option<u64> {
    details(error).find_map(|detail| duration_ms(detail["retryDelay"].as_str()?))
}

/// The HTTP status that belongs to the `google.rpc.Code` of an error.
pub(super) fn status_code(error: &Value) -> Option<u16> {
    Some(match error["status"].as_str()? {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "UNAUTHENTICATED" => 401,
        "PERMISSION_DENIED" => 403,
        "NOT_FOUND" => 404,
        "RESOURCE_EXHAUSTED" => 429,
        "UNAVAILABLE" => 503,
        "DEADLINE_EXCEEDED" => 504,
        _ => return None,
    })
}

fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error["details"].as_array().into_iter().flatten()
}

/// A duration in the JSON form of protocol buffers, such as `13s` or `1.500s`, in milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    retry_after::seconds_ms(text.strip_suffix('s')?)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;
    use crate::provider::retry_after::DELAY_MS_MAX;

    #[test]
    fn durations_are_read_and_bounded() {
        for (text, expected) in [
            ("13s", Some(13_000)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            ("99999999999s", Some(DELAY_MS_MAX)),
            ("-1s", None),
            ("NaNs", None),
            ("13", None),
            ("", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }
}
