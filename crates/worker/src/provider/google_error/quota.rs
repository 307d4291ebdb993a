//! Recognises 429 answers for which a retry is useless: the answers about a daily quota or a quota of 0.
//!
//! These answers also have a `RetryInfo` of some seconds. It is correct only for quotas per minute.

use serde_json::Value;

/// Whether an error with status 429 names a daily quota or a quota of 0.
pub(super) fn is_exhausted(error: &Value) -> bool {
    let details = || error["details"].as_array().into_iter().flatten();
    let violations = details().filter_map(|detail| detail["violations"].as_array());
    // `google.rpc.QuotaFailure` names every exceeded quota. Some endpoints send `google.rpc.ErrorInfo` instead, which names
    // only the first one.
    let by_violation = violations.flatten().any(|violation| {
        is_daily(&violation["quotaId"])
            || is_daily(&violation["quotaMetric"])
            || is_zero(&violation["quotaValue"])
    });
    let by_info = details().map(|detail| &detail["metadata"]).any(|metadata| {
        is_daily(&metadata["quota_limit"]) || is_zero(&metadata["quota_limit_value"])
    });
    by_violation || by_info || error["message"].as_str().is_some_and(names_zero_limit)
}

/// Recognises names such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier` and
/// `…/generate_requests_per_model_per_day`.
fn is_daily(name: &Value) -> bool {
    let name = name.as_str().unwrap_or_default().to_ascii_lowercase();
    name.contains("perday") || name.contains("per_day")
}

/// Whether a limit is 0. It is an int64, which is a string in the JSON form of protocol buffers.
fn is_zero(limit: &Value) -> bool {
    limit == "0" || *limit == 0
}

/// Recognises `Quota exceeded for metric: …, limit: 0, model: gemini-2.5-pro`.
///
/// The violation then has no `quotaValue`, because the JSON form of protocol buffers omits a 0.
fn names_zero_limit(message: &str) -> bool {
    message.lines().any(|line| {
        let limit = line.split_once("limit: 0").map(|(_, rest)| rest);
        line.contains("Quota exceeded")
            && limit.is_some_and(|rest| {
                !rest.starts_with(|next: char| next == '.' || next.is_ascii_digit())
            })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::is_exhausted;

    fn violations(list: &Value) -> Value {
        json!({"message": "no", "details": [
            {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": list},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"},
        ]})
    }

    fn info(metadata: &Value) -> Value {
        json!({"details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "metadata": metadata}
        ]})
    }

    #[test]
    fn daily_quotas_and_quotas_of_zero_are_exhausted() {
        for error in [
            violations(
                &json!([{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "250"}]),
            ),
            violations(
                &json!([{"quotaMetric": "x.googleapis.com/generate_requests_per_model_per_day"}]),
            ),
            violations(&json!([
                {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "5"},
                {"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "100"}
            ])),
            violations(
                &json!([{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "0"}]),
            ),
            violations(
                &json!([{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": 0}]),
            ),
            info(&json!({"quota_limit": "GenerateRequestsPerDay"})),
            info(
                &json!({"quota_limit": "GenerateRequestsPerMinutePerRegion", "quota_limit_value": "0"}),
            ),
            json!({"message": "You exceeded your current quota.\n* Quota exceeded for metric: x, limit: 0, model: m\nPlease retry in 38.9s."}),
            json!({"message": "* Quota exceeded for metric: x, limit: 0"}),
        ] {
            assert!(is_exhausted(&error), "{error}");
        }
    }

    #[test]
    fn other_quotas_are_not_exhausted() {
        for error in [
            json!({}),
            json!("slow down"),
            json!({"message": "Resource has been exhausted (e.g. check quota)."}),
            json!({"message": "* Quota exceeded for metric: x, limit: 0.5, model: m"}),
            json!({"message": "* Quota exceeded for metric: x, limit: 05, model: m"}),
            json!({"message": "* Quota exceeded for metric: x, limit: 10, model: m"}),
            json!({"message": "time limit: 0"}),
            violations(&json!([])),
            violations(
                &json!([{"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "250000"}]),
            ),
            violations(
                &json!([{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]),
            ),
            info(
                &json!({"quota_limit": "GenerateRequestsPerMinutePerRegion", "quota_limit_value": "60"}),
            ),
        ] {
            assert!(!is_exhausted(&error), "{error}");
        }
    }
}
