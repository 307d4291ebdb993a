//! Sentences for the operator about a failed call: what is wrong, and what to change.

use forebay_shared::job::JobError;
use forebay_worker::provider::{KeyState, ProviderSummary};

/// Whether the error probably means that the provider does not know the model. Some providers answer 400 instead of 404.
pub(super) fn is_about_the_model(error: &JobError) -> bool {
    // "the job names no model" is another error: no model was named.
    let names_the_model = || {
        let message = error.message.to_lowercase();
        message.contains("model") && !message.contains("the job names no model")
    };
    error.code == "model_not_found" || (error.code == "invalid_request" && names_the_model())
}

/// What is wrong and what to change. `None` if nothing is known beyond the error itself.
pub(super) fn advice(error: &JobError, provider: &ProviderSummary) -> Option<String> {
    let ProviderSummary {
        url, url_setting, ..
    } = provider;
    let message = error.message.to_lowercase();
    let has = |part: &str| message.contains(part);
    Some(match error.code.as_str() {
        "authentication_failed" => match &provider.key {
            KeyState::Set(variable) => format!(
                "Wrong key: the provider refuses the key in {variable}, or the key may not use this model."
            ),
            KeyState::Missing(setting) | KeyState::NotRequired(setting) => {
                format!("No key: the provider requires one. Set {setting}.")
            }
        },
        "insufficient_quota" => {
            String::from("The key works, but its account has no credit or quota left.")
        }
        "rate_limited" => {
            String::from("The key and the URL work, but the provider is called too often.")
        }
        "context_length_exceeded" => {
            String::from("The model's context is too short for even one short message.")
        }
        "provider_timeout" if has("no connection") => format!(
            "No connection: {url} does not respond. Check the address, and whether a firewall blocks the calls."
        ),
        "provider_timeout" => {
            String::from("The provider took too long. It may still be loading its model.")
        }
        "connection_failed" => connection_advice(&message, provider),
        "endpoint_not_found" => format!(
            "Wrong URL: correct {url_setting}, which is {url}. The URL of most servers ends with /v1."
        ),
        "invalid_response" => format!(
            "Wrong URL: the server at {url} does not have this API. Correct {url_setting}. The URL of most servers ends with /v1."
        ),
        _ if has("answered 405") || has("answered 501") => {
            format!(
                "Wrong URL: the server at {url} does not have this API. Correct {url_setting}. The URL of most servers ends with /v1."
            )
        }
        "provider_error" if has("a redirect to") => {
            format!("Wrong URL: set {url_setting} to the URL to which the provider redirects.")
        }
        "invalid_request" if has("https") && has("http request") => {
            format!("Wrong URL: the server requires TLS. Begin {url_setting} with https://.")
        }
        _ if is_about_the_model(error) => String::from(
            "Model not found: name a model that the provider has, or load this model there.",
        ),
        _ => return None,
    })
}

fn connection_advice(message: &str, provider: &ProviderSummary) -> String {
    let ProviderSummary {
        url, url_setting, ..
    } = provider;
    let has = |part: &str| message.contains(part);
    if let Some(variable) = provider.proxy_variable
        && !has("certificate")
    {
        return format!(
            "Proxy: the provider is called through the proxy that {variable} names. Correct {variable}, or list the \
             provider's host in NO_PROXY."
        );
    }
    if has("unknownissuer") {
        return String::from(
            "TLS: the server's certificate is signed by an authority that is not trusted. Set FOREBAY_CA_FILE to the \
             authority's PEM file.",
        );
    }
    if has("certificate") {
        return format!("TLS: the server's certificate cannot be used for {url}.");
    }
    if has("corrupt message") || has("handshake") {
        return format!(
            "TLS: the server at {url} does not answer with TLS. If it has none, begin {url_setting} with http://."
        );
    }
    if has("lookup") || has("dns") {
        return format!("No connection: the host of {url} has no address. Correct {url_setting}.");
    }
    if has("refused") {
        return format!(
            "No connection: nothing listens at {url}. Start the server, or correct {url_setting}."
        );
    }
    if has("before it answered") && url.starts_with("http:") {
        return format!(
            "The server closed the connection. If it requires TLS, begin {url_setting} with https://."
        );
    }
    format!("No connection to {url}.")
}

#[cfg(test)]
mod tests {
    use forebay_shared::job::JobError;
    use forebay_worker::provider::{KeyState, ProviderSummary};

    use super::{advice, is_about_the_model};

    fn provider(proxy_variable: Option<&'static str>) -> ProviderSummary {
        ProviderSummary {
            name: String::from("local"),
            url: String::from("http://llm.corp/v1"),
            url_setting: String::from("base_url of [providers.local]"),
            key: KeyState::NotRequired(String::from("key_env of [providers.local]")),
            models: String::new(),
            proxy_variable,
        }
    }

    #[test]
    fn each_failure_gets_its_advice() {
        for (code, message, expected) in [
            (
                "authentication_failed",
                "answered 401",
                "No key: the provider requires one. Set key_env",
            ),
            ("insufficient_quota", "answered 402", "no credit"),
            ("rate_limited", "answered 429", "too often"),
            ("context_length_exceeded", "answered 400", "too short"),
            (
                "provider_timeout",
                "no connection to the provider within 5 ms",
                "firewall",
            ),
            (
                "provider_timeout",
                "the call was not done within 5 ms",
                "loading its model",
            ),
            (
                "endpoint_not_found",
                "answered 404",
                "Wrong URL: correct base_url of [providers.local]",
            ),
            (
                "invalid_response",
                "a page instead of JSON",
                "does not have this API",
            ),
            (
                "invalid_request",
                "the provider answered 405: Method Not Allowed",
                "does not have this API",
            ),
            (
                "provider_error",
                "a redirect to https://x",
                "Wrong URL: set base_url",
            ),
            (
                "invalid_request",
                "Client sent an HTTP request to an HTTPS server.",
                "with https://",
            ),
            (
                "invalid_request",
                "The plain HTTP request was sent to HTTPS port",
                "with https://",
            ),
            (
                "invalid_request",
                "Invalid model name passed in model=x",
                "Model not found",
            ),
            ("model_not_found", "answered 404", "Model not found"),
            (
                "connection_failed",
                "invalid peer certificate: UnknownIssuer",
                "FOREBAY_CA_FILE",
            ),
            (
                "connection_failed",
                "invalid peer certificate: Expired",
                "cannot be used",
            ),
            (
                "connection_failed",
                "received corrupt message of type InvalidContentType",
                "with http://",
            ),
            (
                "connection_failed",
                "failed to lookup address information",
                "has no address",
            ),
            (
                "connection_failed",
                "Connection refused (os error 111)",
                "nothing listens",
            ),
            (
                "connection_failed",
                "failed before it answered: connection closed",
                "requires TLS",
            ),
            ("connection_failed", "something else", "No connection"),
        ] {
            let error = JobError::new(code, message);
            let advice = advice(&error, &provider(None)).unwrap_or_default();
            assert!(advice.contains(expected), "{code} {message}: {advice}");
        }
        let unknown = JobError::new("provider_error", "answered 500");
        assert_eq!(advice(&unknown, &provider(None)), None);
    }

    #[test]
    fn the_advice_about_a_failed_connection_through_a_proxy_names_the_proxy() {
        let refused = JobError::new("connection_failed", "Connection refused (os error 111)");
        let advice = advice(&refused, &provider(Some("HTTPS_PROXY"))).unwrap_or_default();
        assert!(
            advice.starts_with("Proxy: ") && advice.contains("NO_PROXY"),
            "{advice}"
        );
    }

    #[test]
    fn an_unknown_model_is_recognized() {
        for (code, message, expected) in [
            ("model_not_found", "", true),
            ("invalid_request", "Invalid model name", true),
            ("invalid_request", "no", false),
            // No model was named.
            ("invalid_request", "the job names no model", false),
            ("provider_error", "the model crashed", false),
        ] {
            assert_eq!(is_about_the_model(&JobError::new(code, message)), expected);
        }
    }
}
