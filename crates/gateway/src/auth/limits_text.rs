//! Limits in a line of the keys file: `requests=100/60 live=50`.

use forebay_shared::tenant_limit::{
    LiveJobLimit, QUOTA_MAX, RequestLimit, TenantLimits, WINDOW_S_MAX,
};

/// Parses limits, separated by spaces. Each kind of limit may be given once.
///
/// # Errors
/// What is allowed.
pub(super) fn parse_limits(text: &str) -> Result<TenantLimits, String> {
    let mut limits = TenantLimits::default();
    for part in text.split_whitespace() {
        let is_first_of_its_kind = match part.split_once('=') {
            Some(("requests", value)) => {
                let (quota, window_s) = value.split_once('/').unwrap_or((value, ""));
                let limit = RequestLimit {
                    quota: number(quota, QUOTA_MAX).ok_or_else(allowed)?,
                    window_s: number(window_s, WINDOW_S_MAX).ok_or_else(allowed)?,
                };
                limits.requests.replace(limit).is_none()
            }
            Some(("live", value)) => {
                let quota = number(value, QUOTA_MAX).ok_or_else(allowed)?;
                limits.live_jobs.replace(LiveJobLimit { quota }).is_none()
            }
            _ => return Err(allowed()),
        };
        if !is_first_of_its_kind {
            return Err(allowed());
        }
    }
    if limits == TenantLimits::default() {
        return Err(allowed());
    }
    Ok(limits)
}

fn allowed() -> String {
    format!(
        "the limits must be requests=QUOTA/SECONDS, live=QUOTA, or both, with quotas from 1 to {QUOTA_MAX} and 1 to {WINDOW_S_MAX} \
         seconds"
    )
}

/// A number from 1 to `most`, in digits only. `None` for any other text.
fn number(text: &str, most: u32) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number)?;
    (1..=most).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::parse_limits;

    #[test]
    fn limits_are_parsed_within_their_bounds() {
        let both = parse_limits(" live=50  requests=100/60 ").expect("valid limits");
        let requests = both.requests.map(|limit| (limit.quota, limit.window_s));
        assert_eq!(requests, Some((100, 60)));
        assert_eq!(both.live_jobs.map(|limit| limit.quota), Some(50));
        let most = parse_limits("requests=1000000000/86400").expect("valid limits");
        assert!(most.requests.is_some() && most.live_jobs.is_none());
        for text in [
            "",
            "requests=100",
            "requests=100/0",
            "requests=0/60",
            "requests=100/86401",
            "requests=1000000001/60",
            "requests=100/60/60",
            "requests=+1/60",
            "live=",
            "live=-1",
            "live=0",
            "live=1 live=2",
            "live=1,requests=1/1",
            "tokens=1/60",
            "live",
        ] {
            let error = parse_limits(text).expect_err(text);
            assert!(error.contains("requests=QUOTA/SECONDS"), "{error}");
        }
    }
}
