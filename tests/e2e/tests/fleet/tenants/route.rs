//! A route of a gateway's OpenAPI document, and requests to it with the ids of another tenant.

use e2e::client::{Answer, Client};
use http::Method;
use serde_json::{Value, json};

/// The routes that need no API key.
const OPEN: [&str; 7] = [
    "/",
    "/healthz",
    "/readyz",
    "/readyz/submits",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
];

/// A route of the document that needs an API key.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) operation: Value,
}

impl Route {
    /// The routes that the gateway's own document describes, without those that are open to everyone.
    ///
    /// # Panics
    /// If another route needs no API key.
    pub(super) async fn all(gateway: &Client) -> Vec<Self> {
        let document = gateway.get("/openapi.json").await.expect(200);
        let mut routes = Vec::new();
        for (path, operations) in document["paths"]
            .as_object()
            .expect("the document has paths")
        {
            for (method, operation) in operations.as_object().expect("the path has methods") {
                if OPEN.contains(&path.as_str()) {
                    continue;
                }
                let needs_key = operation["security"].is_array();
                assert!(needs_key, "{method} {path} needs no API key");
                routes.push(Self {
                    method: method.to_uppercase().parse().expect("the method is valid"),
                    path: path.clone(),
                    operation: operation.clone(),
                });
            }
        }
        routes
    }

    /// Whether only operators may use the route.
    pub(super) fn is_for_operators(&self) -> bool {
        let description = self.operation["description"]
            .as_str()
            .expect("the operation has a description");
        description.ends_with("with the scope `admin`.")
    }

    /// Whether the route makes a job or session of the caller's own, even with an id that another tenant uses.
    pub(super) fn makes_own(&self) -> bool {
        let id = self.operation["operationId"].as_str();
        ["submitJob", "putSession"].map(Some).contains(&id)
    }

    /// A body with the ids of the shop.
    fn body(&self) -> Option<(&str, Value)> {
        let content = self.operation["requestBody"]["content"].as_object()?;
        let (media_type, _) = content.iter().next().expect("the body has a media type");
        let body = match self.operation["operationId"]
            .as_str()
            .expect("the operation has an id")
        {
            "submitJob" => json!({ "input": "of the bank", "session_id": "s" }),
            "putSession" | "patchSession" => json!({ "attributes": {"of": "bank"} }),
            "forkSession" => json!({ "id": "t" }),
            "createApiKey" => json!({ "tenant": "shop" }),
            "putTenantLimits" => json!({ "live_jobs": {"quota": 1} }),
            other => panic!("the test does not know the body of {other}"),
        };
        Some((media_type, body))
    }

    pub(super) async fn send(&self, client: &Client, path: &str) -> Answer {
        let body = self.body();
        let body = body.as_ref().map(|(media_type, body)| (*media_type, body));
        send(client, self.method.clone(), path, body).await
    }
}

/// Sends a request with this body: its media type, and its content.
pub(super) async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<(&str, &Value)>,
) -> Answer {
    let mut request = client.http().request(method, client.url_of(path));
    if let Some((media_type, body)) = body {
        request = request
            .header("content-type", media_type)
            .body(body.to_string());
    }
    client.send(request).await
}
