//! Which fields `extra_body` must not set.

use serde_json::Value;

/// Why `extra_body` must not set this field to this value. `None` if it may.
///
/// Forebay sets `messages` or `contents`, and `model`, from the job. `stream` may only be `false`.
#[must_use]
pub fn extra_body_refusal(field: &str, value: &Value) -> Option<&'static str> {
    match field {
        "messages" | "contents" | "model" => Some("the job's own fields set it"),
        "stream" if *value != Value::Bool(false) => Some("replies are not streamed"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::extra_body_refusal;

    #[test]
    fn fields_that_forebay_sets_are_refused() {
        for (field, value) in [
            ("messages", json!([])),
            ("contents", json!(null)),
            ("model", json!("x")),
            ("stream", json!(true)),
            ("stream", json!(null)),
        ] {
            assert!(extra_body_refusal(field, &value).is_some(), "{field}");
        }
        assert_eq!(extra_body_refusal("stream", &json!(false)), None);
        assert_eq!(extra_body_refusal("seed", &json!(3)), None);
    }
}
