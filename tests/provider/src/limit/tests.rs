//! Tests of the limits. Each test passes the time of a call as an argument, so nothing waits.

use std::time::{Duration, Instant};

use super::{
    LimitHeaders, RateLimit, RateLimits,
    headers::{reset_text, retry_after_s},
    limiter::Limiter,
};

const MS: Duration = Duration::from_millis(1);

/// How many of `calls` calls at this time are accepted.
fn accepted(limiter: &mut Limiter, calls: usize, now: Instant) -> usize {
    let verdicts = (0..calls).map(|_| limiter.decide(now));
    verdicts.filter(|verdict| verdict.is_accepted).count()
}

/// The headers of one call at this time, as `name: value`.
fn headers(limiter: &mut Limiter, now: Instant) -> Vec<String> {
    let headers = limiter.decide(now).headers;
    let texts = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    texts.collect()
}

#[test]
fn a_token_bucket_accepts_a_burst_and_then_its_rate() {
    let began = Instant::now();
    let mut limiter = Limiter::new(RateLimit::token_bucket(1_200, 10), began);
    assert_eq!(accepted(&mut limiter, 15, began), 10);
    assert_eq!(accepted(&mut limiter, 5, began + 49 * MS), 0);
    assert_eq!(accepted(&mut limiter, 5, began + 51 * MS), 1);
    assert_eq!(accepted(&mut limiter, 50, began + 251 * MS), 4);
    // The bucket is full after half a second, and gets no fuller.
    assert_eq!(accepted(&mut limiter, 50, began + 60_000 * MS), 10);
}

#[test]
fn calls_that_are_refused_take_no_token() {
    let began = Instant::now();
    let mut limiter = Limiter::new(RateLimit::token_bucket(60, 1), began);
    let calls = (0..10_000).map(|ms| accepted(&mut limiter, 1, began + ms * MS));
    assert_eq!(calls.sum::<usize>(), 10);
}

#[test]
fn a_fixed_window_accepts_its_calls_and_then_none_until_the_next_window() {
    let began = Instant::now();
    let limit = RateLimit::fixed_window(20, 1_000 * MS);
    let mut limiter = Limiter::new(limit, began);
    assert_eq!(accepted(&mut limiter, 15, began + 900 * MS), 15);
    assert_eq!(accepted(&mut limiter, 15, began + 999 * MS), 5);
    assert_eq!(accepted(&mut limiter, 25, began + 1_000 * MS), 20);
    assert_eq!(accepted(&mut limiter, 1, began + 1_999 * MS), 0);
    // Windows begin at whole multiples of their length, even if no call arrived for several windows.
    assert_eq!(accepted(&mut limiter, 25, began + 5_900 * MS), 20);
    assert_eq!(accepted(&mut limiter, 25, began + 6_000 * MS), 20);
}

#[test]
fn only_a_refusal_has_retry_after_in_whole_seconds_rounded_up() {
    let began = Instant::now();
    let limit = RateLimit::token_bucket(40, 1).with_headers(LimitHeaders::RetryAfter);
    let mut limiter = Limiter::new(limit, began);
    assert!(headers(&mut limiter, began).is_empty());
    assert_eq!(headers(&mut limiter, began), ["retry-after: 2"]);
    assert_eq!(headers(&mut limiter, began + 501 * MS), ["retry-after: 1"]);
    let limit = RateLimit::fixed_window(1, 90_000 * MS).with_headers(LimitHeaders::RetryAfter);
    let mut limiter = Limiter::new(limit, began);
    assert_eq!(accepted(&mut limiter, 1, began), 1);
    assert_eq!(headers(&mut limiter, began + 500 * MS), ["retry-after: 90"]);
}

#[test]
fn every_response_has_the_headers_of_openai() {
    let began = Instant::now();
    let limit = RateLimit::token_bucket(1_200, 2).with_headers(LimitHeaders::XRateLimit);
    let mut limiter = Limiter::new(limit, began);
    let expected = |remaining, reset| {
        [
            "x-ratelimit-limit-requests: 2".to_owned(),
            format!("x-ratelimit-remaining-requests: {remaining}"),
            format!("x-ratelimit-reset-requests: {reset}"),
        ]
    };
    assert_eq!(headers(&mut limiter, began), expected(1, "50ms"));
    assert_eq!(headers(&mut limiter, began), expected(0, "100ms"));
    assert_eq!(headers(&mut limiter, began + 10 * MS), expected(0, "90ms"));
    let limit = RateLimit::fixed_window(2, 90_000 * MS).with_headers(LimitHeaders::XRateLimit);
    let mut limiter = Limiter::new(limit, began);
    assert_eq!(headers(&mut limiter, began), expected(1, "1m30s"));
}

#[test]
fn a_limit_without_headers_sends_none() {
    let began = Instant::now();
    let mut limiter = Limiter::new(RateLimit::token_bucket(60, 1), began);
    assert!(headers(&mut limiter, began).is_empty());
    assert!(headers(&mut limiter, began).is_empty());
}

#[test]
fn delays_have_the_formats_of_the_headers() {
    for (ms, reset, retry_after) in [
        (0, "0ms", 1),
        (20, "20ms", 1),
        (1_000, "1s", 1),
        (8_640, "8.64s", 9),
        (60_000, "1m0s", 60),
        (361_001, "6m1.001s", 362),
    ] {
        assert_eq!(reset_text(ms * MS), reset);
        assert_eq!(retry_after_s(ms * MS), retry_after);
    }
    assert_eq!(reset_text(Duration::from_nanos(1)), "1ms");
}

#[test]
fn a_model_with_a_limit_of_its_own_does_not_count_for_the_others() {
    let limits = RateLimits::default();
    let is_accepted = |model| limits.decide(model).map(|verdict| verdict.is_accepted);
    assert_eq!(is_accepted("any"), None);
    limits.set(Some(RateLimit::token_bucket(1, 1)));
    limits.set_for_model("own", Some(RateLimit::token_bucket(1, 2)));
    let own = [(); 3].map(|()| is_accepted("own"));
    assert_eq!(own, [Some(true), Some(true), Some(false)]);
    assert_eq!(is_accepted("one"), Some(true));
    assert_eq!(is_accepted("other"), Some(false));
    limits.set_for_model("own", None);
    assert_eq!(is_accepted("own"), Some(false));
    limits.set(None);
    assert_eq!(is_accepted("own"), None);
}
