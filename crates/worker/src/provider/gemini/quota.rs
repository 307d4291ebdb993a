//! Which of Gemini's 429s will not pass: those of a quota for a day, and those of a quota of nothing.
//!
//! Both also carry a `RetryInfo` of some seconds, which holds for the quotas for a minute alone.

use serde_json::Value;

/// Whether an error of the status 429 tells of a quota that no pause of ours brings back.
pub(super) fn is_exhausted(error: &Value) -> bool {
    let details = || error["details"].as_array().into_iter().flatten();
    let violations = details().filter_map(|detail| detail["violations"].as_array());
    // `google.rpc.QuotaFailure` names each quota; `google.rpc.ErrorInfo` of other endpoints the first.
    let by_violation = violations.flatten().any(|violation| {
        is_for_a_day(&violation["quotaId"])
            || is_for_a_day(&violation["quotaMetric"])
            || is_nothing(&violation["quotaValue"])
    });
    let by_info = details().map(|detail| &detail["metadata"]).any(|metadata| {
        is_for_a_day(&metadata["quota_limit"]) || is_nothing(&metadata["quota_limit_value"])
    });
    by_violation || by_info || error["message"].as_str().is_some_and(tells_of_nothing)
}

/// `GenerateRequestsPerDayPerProjectPerModel-FreeTier`, `…/generate_requests_per_model_per_day`.
fn is_for_a_day(name: &Value) -> bool {
    let name = name.as_str().unwrap_or_default().to_ascii_lowercase();
    name.contains("perday") || name.contains("per_day")
}

/// An int64, which is a text in the JSON of protocol buffers.
fn is_nothing(limit: &Value) -> bool {
    limit == "0" || *limit == 0
}

/// `Quota exceeded for metric: …, limit: 0, model: gemini-2.5-pro`. The violation itself leaves its
/// `quotaValue` out then, as the JSON of protocol buffers leaves out what is 0.
fn tells_of_nothing(message: &str) -> bool {
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

    fn violations(of: &Value) -> Value {
        json!({"message": "no", "details": [
            {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": of},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"},
        ]})
    }

    fn info(metadata: &Value) -> Value {
        json!({"details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "metadata": metadata}
        ]})
    }

    #[test]
    fn a_quota_for_a_day_or_of_nothing_does_not_pass() {
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
    fn what_passes_by_itself() {
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
