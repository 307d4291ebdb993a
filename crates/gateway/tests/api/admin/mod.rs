//! The admin listener: metrics in both text formats, and the health routes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use forebay_gateway::{AdminSettings, AllowedHosts};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::fixture::Fixture;

mod access;
mod values;

/// How long a request or a wait may take. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The admin listener of a fixture's process.
struct Admin {
    address: SocketAddr,
    url: String,
    http: reqwest::Client,
    _server: AbortOnDropHandle<()>,
}

impl Admin {
    async fn start(gateway: &Fixture) -> Self {
        let no_others = AllowedHosts::default();
        Self::with_hosts(gateway, "127.0.0.1:0", no_others).await
    }

    async fn with_hosts(gateway: &Fixture, listen: &str, allowed_hosts: AllowedHosts) -> Self {
        let listener = TcpListener::bind(listen).await.expect("the port opens");
        let port = listener.local_addr().expect("the address is valid").port();
        let settings = AdminSettings {
            allowed_hosts,
            has_gateway: true,
            has_worker: false,
            jobs_max: 100,
        };
        let member = Arc::clone(&gateway.member);
        let stop = gateway.stop.clone();
        let serving = forebay_gateway::serve_admin(listener, member, settings, stop);
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(TIMEOUT)
                .build()
                .expect("the client is built"),
            _server: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    /// Sends a GET with this `Accept` header. Returns the status, the content type and the body.
    async fn get(&self, path: &str, accept: Option<&str>) -> (u16, String, String) {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = request.send().await.expect("the server responds");
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .expect("a content type");
        let kind = kind.to_str().expect("text").to_owned();
        (status, kind, response.text().await.expect("a body"))
    }

    /// Sends a request with this id. Returns the id in the response.
    async fn answered_id(&self, path: &str, id: &str) -> Option<String> {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = request.header("x-request-id", id);
        let response = request.send().await.expect("the server responds");
        let answered = response.headers().get("x-request-id")?.to_str();
        Some(answered.expect("the id is text").to_owned())
    }

    async fn metrics(&self) -> String {
        self.get("/metrics", None).await.2
    }

    /// The problem of an answer with status 503.
    async fn problem(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path, None).await;
        assert_eq!(status, 503, "{body}");
        serde_json::from_str(&body).expect("problem details")
    }
}

/// The value of the series.
fn value(text: &str, series: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}
