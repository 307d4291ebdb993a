//! A client of RabbitMQ's management API, with the requests that tests need.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// The timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one node's management API, as the user `guest`.
#[derive(Clone, Debug)]
pub struct Management {
    base: String,
    client: Client,
}

impl Management {
    pub(super) fn new(port: u16) -> anyhow::Result<Self> {
        // An idle connection would belong to the tokio runtime of one test, and the tests that share a node have
        // different runtimes. So the client keeps no idle connection.
        let client = Client::builder()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()?;
        Ok(Self {
            base: format!("http://127.0.0.1:{port}"),
            client,
        })
    }

    /// The API's base URL: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The answer to a GET, for example of `/api/queues?disable_stats=true`.
    ///
    /// # Errors
    /// If the node cannot be reached, or refuses the request. The error then contains the node's reason.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.request(Method::GET, path, None).await
    }

    /// The answer to a POST; null if it is empty.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get).
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.request(Method::POST, path, Some(body)).await
    }

    /// Sends a PUT with this body.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get).
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.request(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// Sends a DELETE.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get).
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.request(Method::DELETE, path, None).await.map(drop)
    }

    /// Whether the node has raised a memory or disk alarm.
    pub(super) async fn alarmed(&self) -> anyhow::Result<bool> {
        let (status, body) = self
            .exchange(Method::GET, "/api/health/checks/local-alarms", None)
            .await?;
        match status {
            StatusCode::OK => Ok(false),
            StatusCode::SERVICE_UNAVAILABLE => Ok(true),
            other => bail!("RabbitMQ answered {other} about its alarms: {body}"),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, text) = self.exchange(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("RabbitMQ answered {status} to {method} {path}: {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text)
            .with_context(|| format!("parsing RabbitMQ's answer to {method} {path}"))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.basic_auth("guest", Some("guest"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("sending a request to RabbitMQ for {path}"))?;
        Ok((response.status(), response.text().await?))
    }
}

/// A name as one segment of a path, percent-encoded: `/` becomes `%2F`.
pub(super) fn segment(name: &str) -> String {
    name.bytes().fold(String::new(), |mut segment, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
        segment
    })
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn names_are_encoded_as_one_segment() {
        assert_eq!(segment("/"), "%2F");
        assert_eq!(segment("forebay.batch q"), "forebay.batch%20q");
    }
}
