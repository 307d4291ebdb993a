//! Times in stored text. The tests move the fixture's times before they load it, as if it had been made just now. So nothing
//! in it has expired.

use std::{sync::LazyLock, time::SystemTime};

use regex::{Captures, Regex};

/// Milliseconds since 1970, from November 2023 to March 2030: 13 digits that begin with 17 or 18.
static TIME_MS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b1[78]\d{11}\b").expect("the pattern is valid"));

/// The machine's current time, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ms = since
        .expect("the clock shows a time after 1970")
        .as_millis();
    u64::try_from(now_ms).expect("the time fits into 64 bits")
}

/// The text with all times moved from `made_at` to now.
pub(crate) fn moved_to_now(text: &str, made_at: u64) -> String {
    let now = now_ms();
    let moved = |found: &Captures<'_>| {
        let time: u64 = found[0].parse().expect("the pattern matches digits");
        (time + now - made_at).to_string()
    };
    TIME_MS.replace_all(text, moved).into_owned()
}
