//! Classifies an error by its HTTP status. This is the fallback for errors whose body is not more specific.

use serde_json::Value;

use super::{
    Failure, Retry,
    fault::{self, Evidence, Fault},
    http::Received,
    json_body,
};

/// The most bytes that a failure quotes of a provider's message.
const QUOTED_BYTES_MAX: usize = 800;

/// The status of an error, and what else its classification needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorStatus<'a> {
    /// The status code.
    pub(super) code: u16,
    /// The delay that the provider asks for, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
    /// The path that was called.
    pub(super) path: &'a str,
}

impl<'a> ErrorStatus<'a> {
    /// The status of an answer.
    pub(super) fn of(received: &'a Received) -> Self {
        Self {
            code: received.status,
            retry_after_ms: received.retry_after_ms,
            path: &received.path,
        }
    }

    /// The status with its code replaced. An error in the body of a 2xx answer has its own code.
    pub(super) const fn with_code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// The status with `delay_ms` as its delay, if `delay_ms` is longer than the present delay.
    pub(super) fn with_delay_ms(mut self, delay_ms: Option<u64>) -> Self {
        self.retry_after_ms = self.retry_after_ms.max(delay_ms);
        self
    }

    /// A failure for which no retry can help.
    pub(super) fn permanent(&self, code: &str, provider_message: Option<&str>) -> Failure {
        Failure::new(code, self.message(provider_message), Retry::Never)
    }

    /// A retry after the delay that the provider asks for; with backoff if it asks for none.
    pub(super) fn after_or_backoff(&self) -> Retry {
        self.retry_after_ms.map_or(Retry::Backoff, Retry::AfterMs)
    }

    /// The cause of an error after which a retry may help. `error` is the JSON object of the error.
    pub(super) fn fault(&self, error: &Value, provider_message: Option<&str>) -> Fault {
        fault::of(Evidence::Answer {
            status: self.code,
            error,
            message: provider_message.unwrap_or(""),
        })
    }

    /// Classifies a status that is not a success. `error` is the JSON object of the error, and `provider_message` the
    /// provider's own text.
    pub(super) fn classify(&self, error: &Value, provider_message: Option<&str>) -> Failure {
        let (code, retry) = match self.code {
            401 | 403 => ("authentication_failed", Retry::Never),
            402 => ("insufficient_quota", Retry::Never),
            404 => return self.not_found(provider_message),
            408 | 409 | 425 | 500.. => ("provider_error", self.after_or_backoff()),
            429 => ("rate_limited", self.after_or_backoff()),
            400..500 => ("invalid_request", Retry::Never),
            // Redirects are not followed, and no other status is a valid answer.
            _ => ("provider_error", Retry::Never),
        };
        let failure = Failure::new(code, self.message(provider_message), retry);
        if retry == Retry::Never {
            return failure;
        }
        failure.with_fault(self.fault(error, provider_message))
    }

    /// A 404 is about the model only if the provider's message mentions a model. Otherwise the base URL is probably wrong.
    fn not_found(&self, provider_message: Option<&str>) -> Failure {
        if provider_message.is_some_and(is_about_a_model) {
            return self.permanent("model_not_found", provider_message);
        }
        let message = format!(
            "the provider has nothing at {}, check its base URL: {}",
            self.path,
            self.message(provider_message)
        );
        Failure::new("endpoint_not_found", message, Retry::Never)
    }

    /// The message of a failure, such as `the provider answered 429: slow down`.
    pub(super) fn message(&self, provider_message: Option<&str>) -> String {
        let code = self.code;
        match provider_message.map(str::trim) {
            None | Some("") => format!("the provider answered {code}"),
            Some(text) => {
                let end = text.floor_char_boundary(QUOTED_BYTES_MAX);
                format!("the provider answered {code}: {}", &text[..end])
            }
        }
    }
}

/// The HTTP status in the field `code` of an error, which is a number or a text. `None` if the field is not an error status.
pub(super) fn status_code_in(error: &Value) -> Option<u16> {
    let code: u16 = json_body::text(&error["code"])?.parse().ok()?;
    (400..600).contains(&code).then_some(code)
}

/// The failure of a redirect. Redirects are not followed, because a request holds a key and a prompt.
pub(super) fn redirected(code: u16, location: &str) -> Failure {
    Failure::new(
        "provider_error",
        format!(
            "the provider answered {code}, a redirect to {location}: redirects are not followed, correct the base URL"
        ),
        Retry::Never,
    )
}

/// Whether the text of a 404 is about a model. The word `model` within a path or a URL does not count.
fn is_about_a_model(message: &str) -> bool {
    let message = message.to_lowercase();
    let mut words = message.split_whitespace().filter(|word| !is_path(word));
    // OpenRouter's message for an unknown model contains "No endpoints found". Azure's message names a deployment
    // instead of a model.
    words.any(|word| word.contains("model") || word.contains("deployment"))
        || message.contains("no endpoints found")
}

fn is_path(word: &str) -> bool {
    let start = word.trim_start_matches(|c: char| c != '/' && !c.is_alphanumeric());
    start.starts_with('/') || word.contains("://")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::ErrorStatus;

    fn not_found(message: &str) -> (String, String) {
        let status = ErrorStatus {
            code: 404,
            retry_after_ms: None,
            path: "/v1/chat/completions",
        };
        let error = status.classify(&Value::Null, Some(message)).error;
        (error.code, error.message)
    }

    #[test]
    fn a_404_about_a_model_is_distinguished_from_a_404_about_a_path() {
        for message in [
            "The model `gpt-9` does not exist or you do not have access to it.",
            "model \"qwen3\" not found, try pulling it first",
            "models/gemini-9 is not found for API version v1beta",
            "No endpoints found for acme/large.",
            "The API deployment for this resource does not exist.",
        ] {
            assert_eq!(not_found(message).0, "model_not_found", "{message}");
        }
        for message in [
            "",
            "Not Found",
            "404 page not found",
            "Invalid URL (POST /v1/models/chat/completions)",
            "The requested URL /v1/models/gemini-9:generateContent was not found on this server.",
            "nothing at https://llm.example/models",
        ] {
            let (code, shown) = not_found(message);
            assert_eq!(code, "endpoint_not_found", "{message}");
            assert!(shown.contains("/v1/chat/completions"), "{shown}");
            assert!(shown.ends_with(message), "{shown}");
        }
    }
}
