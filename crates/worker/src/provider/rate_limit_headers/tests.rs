//! The headers of each service, and invalid values.

use std::time::{Duration, SystemTime};

use forebay_shared::account::{ReportedLimit, ReportedLimits};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::read;

fn limits_in(headers: &[(&'static str, &str)]) -> Option<Box<ReportedLimits>> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("the value is valid");
        map.append(HeaderName::from_static(name), value);
    }
    // 2025-11-24T16:00:00Z
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    read(&map, now)
}

/// A limit as `(limit, remaining, reset_ms)`.
fn parts(limit: Option<ReportedLimit>) -> Option<(u64, u64, u64)> {
    limit.map(|limit| (limit.limit, limit.remaining, limit.reset_ms))
}

#[test]
fn the_headers_of_each_service_are_read() {
    for (service, headers, requests, tokens) in [
        (
            "OpenAI",
            vec![
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-limit-tokens", "150000"),
                ("x-ratelimit-remaining-tokens", "149984"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            Some((60, 59, 1_000)),
            Some((150_000, 149_984, 360_000)),
        ),
        (
            "Groq",
            vec![
                ("x-ratelimit-limit-requests", "14400"),
                ("x-ratelimit-remaining-requests", "14370"),
                ("x-ratelimit-reset-requests", "2m59.56s"),
                ("x-ratelimit-limit-tokens", "18000"),
                ("x-ratelimit-remaining-tokens", "17997"),
                ("x-ratelimit-reset-tokens", "7.66s"),
            ],
            Some((14_400, 14_370, 179_560)),
            Some((18_000, 17_997, 7_660)),
        ),
        (
            "Azure",
            vec![
                ("x-ratelimit-limit-requests", "100"),
                ("x-ratelimit-remaining-requests", "99"),
                ("x-ratelimit-reset-requests", "10"),
                ("x-ratelimit-remaining-tokens", "9000"),
            ],
            Some((100, 99, 10_000)),
            None,
        ),
        (
            "Mistral",
            vec![
                ("x-ratelimit-limit-req-minute", "60"),
                ("x-ratelimit-remaining-req-minute", "12"),
                ("x-ratelimit-limit-tokens-minute", "50000"),
                ("x-ratelimit-remaining-tokens-minute", "47196"),
                ("x-ratelimit-limit-tokens-month", "4000000"),
            ],
            Some((60, 12, 60_000)),
            Some((50_000, 47_196, 60_000)),
        ),
        (
            "Cerebras",
            vec![
                ("x-ratelimit-limit-tokens-minute", "60000"),
                ("x-ratelimit-remaining-tokens-minute", "59000"),
                ("x-ratelimit-reset-tokens-minute", "11.5"),
            ],
            None,
            Some((60_000, 59_000, 11_500)),
        ),
        (
            "Anthropic",
            vec![
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2025-11-24T16:00:01Z"),
                ("anthropic-ratelimit-input-tokens-limit", "30000"),
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2025-11-24T16:01:00Z",
                ),
            ],
            Some((50, 49, 1_000)),
            Some((30_000, 0, 60_000)),
        ),
        (
            "OpenRouter",
            vec![
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1764000030000"),
            ],
            Some((20, 0, 30_000)),
            None,
        ),
        (
            "the IETF's draft",
            vec![
                ("ratelimit-limit", "100, 100;w=60"),
                ("ratelimit-remaining", "50"),
                ("ratelimit-reset", "30"),
            ],
            Some((100, 50, 30_000)),
            None,
        ),
        (
            "LiteLLM",
            vec![
                ("x-ratelimit-remaining-requests", "9"),
                ("llm_provider-x-ratelimit-limit-requests", "10"),
                ("llm_provider-x-ratelimit-remaining-requests", "9"),
                ("llm_provider-x-ratelimit-reset-requests", "6s"),
            ],
            Some((10, 9, 6_000)),
            None,
        ),
    ] {
        let limits = limits_in(&headers).expect(service);
        let read = (parts(limits.requests), parts(limits.tokens));
        assert_eq!(read, (requests, tokens), "{service}");
    }
}

#[test]
fn the_first_complete_set_of_names_is_used() {
    let limits = limits_in(&[
        ("ratelimit-limit", "1"),
        ("ratelimit-remaining", "1"),
        ("ratelimit-reset", "1"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
    ]);
    let requests = limits.expect("limits are reported").requests;
    assert_eq!(parts(requests), Some((60, 59, 1_000)));
}

#[test]
fn more_than_the_limit_cannot_remain() {
    let limits = limits_in(&[
        ("ratelimit-limit", "10"),
        ("ratelimit-remaining", "11"),
        ("ratelimit-reset", "1"),
    ]);
    let requests = limits.expect("limits are reported").requests;
    assert_eq!(parts(requests), Some((10, 10, 1_000)));
}

#[test]
fn invalid_values_are_ignored() {
    assert_eq!(limits_in(&[]), None);
    for (limit, remaining, reset) in [
        ("0", "0", "1s"),
        ("-1", "0", "1s"),
        ("60.5", "0", "1s"),
        ("", "0", "1s"),
        ("many", "0", "1s"),
        ("+60", "0", "1s"),
        ("1000000000001", "0", "1s"),
        ("99999999999999999999999", "0", "1s"),
        ("\u{e9}", "0", "1s"),
        ("60", "-1", "1s"),
        ("60", "", "1s"),
        ("60", "1", "soon"),
        ("60", "1", ""),
        ("60", "1", "-1s"),
    ] {
        let limits = limits_in(&[
            ("x-ratelimit-limit-requests", limit),
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", reset),
        ]);
        assert_eq!(limits, None, "{limit:?} {remaining:?} {reset:?}");
    }
    // A reset that cannot be read is not replaced by the window.
    let limits = limits_in(&[
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", "1"),
        ("x-ratelimit-reset-req-minute", "soon"),
    ]);
    assert_eq!(limits, None);
}
