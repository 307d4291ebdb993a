//! Sends one request to the API of a running process, with the admin key.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use forebay_shared::secret::Secret;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::task::AbortOnDropHandle;

/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes of a response. A page of keys has fewer.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// A client of one process.
pub(super) struct AdminClient {
    /// The host and the port.
    pub(super) authority: String,
    pub(super) key: Secret,
}

impl AdminClient {
    /// The client of the process at this URL.
    ///
    /// # Errors
    /// If the URL is not `http://HOST:PORT`.
    pub(super) fn new(url: &str, key: Secret) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().context("is not a URL")?;
        ensure!(
            uri.scheme_str() == Some("http"),
            "must begin with http://, because a process of Forebay speaks HTTP without TLS"
        );
        let authority = uri.authority().context("has no host")?;
        ensure!(
            matches!(uri.path(), "" | "/") && uri.query().is_none(),
            "must have the form http://HOST:PORT"
        );
        ensure!(
            !authority.as_str().contains('@'),
            "must not contain a user; the key is in FOREBAY_ADMIN_KEY"
        );
        Ok(Self {
            authority: authority.to_string(),
            key,
        })
    }

    /// Sends a request. Returns the body of a 2xx response; null without a body.
    ///
    /// # Errors
    /// If there is no complete response in time, or if its status is not 2xx. The text contains the problem that the process
    /// reports, but not the key.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let exchange = timeout(TIMEOUT, self.exchange(method, target, body));
        let response = match exchange.await {
            Ok(response) => response,
            Err(_) => bail!(
                "http://{} gave no complete answer within {} s; the request may have been carried out",
                self.authority,
                TIMEOUT.as_secs()
            ),
        };
        let (status, body) =
            response.with_context(|| format!("no answer from http://{}", self.authority))?;
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(json);
        }
        bail!("{}", self.key.redact(&refusal(status, &json)))
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let host = self.authority.as_str();
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let stream = if has_port {
            TcpStream::connect(host).await?
        } else {
            TcpStream::connect(format!("{host}:80")).await?
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", self.key.expose()))
            .map_err(|_| {
                anyhow::anyhow!("FOREBAY_ADMIN_KEY has characters that no header may have")
            })?;
        authorization.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, host)
            .header(AUTHORIZATION, authorization);
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = body.to_string().into();
        }
        let response = sender.send_request(request.body(Full::new(bytes))?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX);
        let body = body.collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok((status, body.to_bytes()))
    }
}

/// What the process refused, from its problem details (RFC 9457).
fn refusal(status: StatusCode, problem: &Value) -> String {
    let (Some(code), Some(detail)) = (problem["code"].as_str(), problem["detail"].as_str()) else {
        return format!(
            "the answer was {status}, and it does not come from Forebay; check --url and FOREBAY_LISTEN"
        );
    };
    let mut text = format!("{code}: {detail}");
    let errors = problem["errors"].as_array().into_iter().flatten();
    for error in errors.skip(1) {
        if let (Some(field), Some(message)) = (error["field"].as_str(), error["message"].as_str()) {
            text.push_str(&format!("\n{field}: {message}"));
        }
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            text.push_str("\nFOREBAY_ADMIN_KEY must hold a valid API key with the scope admin.");
        }
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use forebay_shared::secret::Secret;
    use hyper::StatusCode;
    use serde_json::{Value, json};

    use super::{AdminClient, refusal};

    #[test]
    fn a_url_has_a_host_and_no_path() {
        let authority =
            |url: &str| AdminClient::new(url, Secret::new("key")).map(|client| client.authority);
        assert_eq!(
            authority("http://[::1]:8080/").expect("the URL is valid"),
            "[::1]:8080"
        );
        assert_eq!(
            authority("http://forebay").expect("the URL is valid"),
            "forebay"
        );
        for url in [
            "",
            "localhost:8080",
            "https://localhost",
            "http://localhost/x",
            "http://localhost/?x",
            "http://key@localhost",
        ] {
            assert!(authority(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_refusal_names_all_fields_and_what_to_do() {
        let problem = json!({
            "code": "invalid_request",
            "detail": "tenant: is required (and 1 more)",
            "errors": [{"field": "tenant", "message": "is required"}, {"field": "name", "message": "must be short"}],
        });
        let text = refusal(StatusCode::UNPROCESSABLE_ENTITY, &problem);
        assert_eq!(
            text,
            "invalid_request: tenant: is required (and 1 more)\nname: must be short"
        );
        let unknown = json!({"code": "unauthorized", "detail": "unknown"});
        let text = refusal(StatusCode::UNAUTHORIZED, &unknown);
        assert!(text.contains("FOREBAY_ADMIN_KEY"), "{text}");
        let text = refusal(StatusCode::BAD_GATEWAY, &Value::Null);
        assert!(text.contains("502") && text.contains("--url"), "{text}");
    }
}
