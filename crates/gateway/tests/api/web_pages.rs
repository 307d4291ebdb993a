//! Tests of requests that a web page makes through a visitor's browser, as the browser sends them.

use std::net::{Ipv4Addr, SocketAddr};

use forebay_gateway::{AllowedHosts, AllowedOrigins};
use reqwest::Method;

use crate::fixture::{ApiResponse, Fixture};

const JOB: &str = r#"{"input":"Hi."}"#;

/// Sends a submit with these headers.
async fn submit_with(gateway: &Fixture, headers: &[(&str, &str)]) -> ApiResponse {
    let mut request = gateway.request(Method::POST, "/v1/jobs").body(JOB);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    gateway.send(request).await
}

async fn get_with(gateway: &Fixture, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
    let mut request = gateway.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    gateway.send(request).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_web_page_of_another_origin_cannot_submit() {
    let gateway = Fixture::start().await;
    // Content types that `fetch` can send with `mode: "no-cors"`, and JSON.
    for content_type in [
        None,
        Some("text/plain;charset=UTF-8"),
        Some("application/x-www-form-urlencoded"),
        Some("application/json"),
    ] {
        let mut headers = vec![
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ];
        headers.extend(content_type.map(|value| ("content-type", value)));
        let problem = submit_with(&gateway, &headers).await;
        let problem = problem.expect_problem(403, "origin_not_allowed");
        assert_eq!(problem["errors"][0]["field"], "Origin");
    }
    // A browser that sends only one of the two headers.
    let origin = submit_with(&gateway, &[JSON, ("origin", "http://localhost:3000")]).await;
    origin.expect_problem(403, "origin_not_allowed");
    let site = submit_with(&gateway, &[JSON, ("sec-fetch-site", "same-site")]).await;
    let problem = site.expect_problem(403, "origin_not_allowed");
    assert_eq!(problem["errors"][0]["field"], "Sec-Fetch-Site");
    // Without these two headers, a body needs a content type that a browser sends for another origin only after a preflight.
    let problem = submit_with(&gateway, &[]).await;
    let problem = problem.expect_problem(415, "unsupported_media_type");
    assert!(problem["detail"].to_string().contains("application/json"));

    let preflight = gateway
        .request(Method::OPTIONS, "/v1/jobs")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let preflight = gateway.send(preflight).await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    preflight.expect_problem(403, "origin_not_allowed");
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn a_web_page_of_another_origin_cannot_read_or_delete() {
    let gateway = Fixture::start().await;
    let headers = [("origin", "https://evil.example")];
    for path in ["/v1/queues", "/v1/sessions/s", "/v1/providers", "/healthz"] {
        let response = get_with(&gateway, path, &headers).await;
        response.expect_problem(403, "origin_not_allowed");
    }
    let delete = gateway.request(Method::DELETE, "/v1/sessions/s");
    let delete = delete.header("sec-fetch-site", "cross-site");
    let delete = gateway.send(delete).await;
    delete.expect_problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn programs_and_pages_of_the_gateways_own_origin_can_submit() {
    let gateway = Fixture::start().await;
    submit_with(&gateway, &[JSON]).await.expect(202);
    let own = format!("http://{}", gateway.address);
    let headers = [
        JSON,
        ("origin", own.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    submit_with(&gateway, &headers).await.expect(202);
    let typed = [("sec-fetch-site", "none")];
    get_with(&gateway, "/v1/queues", &typed).await.expect(200);
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_can_submit_and_read() {
    let gateway = Fixture::with_settings(|settings| {
        settings.allowed_origins =
            AllowedOrigins::parse("https://app.example").expect("the origin is valid");
    })
    .await;
    let origin = ("origin", "https://app.example");
    let preflight = gateway
        .request(Method::OPTIONS, "/v1/jobs")
        .header(origin.0, origin.1)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "content-type,idempotency-key",
        );
    let preflight = gateway.send(preflight).await;
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        (
            "access-control-allow-methods",
            "GET, POST, PUT, PATCH, DELETE",
        ),
        (
            "access-control-allow-headers",
            "content-type,idempotency-key",
        ),
        ("vary", "Origin"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    preflight.expect(204);

    let headers = [JSON, origin, ("sec-fetch-site", "cross-site")];
    let accepted = submit_with(&gateway, &headers).await;
    assert_eq!(
        accepted.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let exposed = accepted.header("access-control-expose-headers");
    assert!(
        exposed.is_some_and(|names| names.contains("Location") && names.contains("Retry-After"))
    );
    assert_eq!(accepted.header("vary"), Some("Origin"));
    accepted.expect(202);
    // The page can read problems too.
    let problem = get_with(&gateway, "/v1/jobs/x", &[origin]).await;
    assert_eq!(
        problem.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    problem.expect_problem(404, "job_not_found");

    let other = submit_with(&gateway, &[JSON, ("origin", "https://evil.example")]).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    assert_eq!(other.header("vary"), Some("Origin"));
    other.expect_problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn with_a_star_pages_of_all_origins_are_allowed() {
    let gateway = Fixture::with_settings(|settings| {
        settings.allowed_origins = AllowedOrigins::parse("*").expect("a star is valid");
    })
    .await;
    for origin in ["https://any.example", "null"] {
        let headers = [JSON, ("origin", origin), ("sec-fetch-site", "cross-site")];
        let accepted = submit_with(&gateway, &headers).await;
        assert_eq!(accepted.header("access-control-allow-origin"), Some("*"));
        accepted.expect(202);
    }
}

#[tokio::test]
async fn on_a_loopback_address_other_hosts_are_refused() {
    let gateway = Fixture::start().await;
    // After DNS rebinding, a browser sends the name of the foreign site, and the request has the same origin.
    let rebound = [
        JSON,
        ("host", "evil.example:8080"),
        ("origin", "http://evil.example:8080"),
        ("sec-fetch-site", "same-origin"),
    ];
    let problem = submit_with(&gateway, &rebound).await;
    let problem = problem.expect_problem(421, "host_not_allowed");
    assert_eq!(problem["errors"][0]["field"], "Host");
    assert!(
        problem["detail"]
            .to_string()
            .contains("FOREBAY_ALLOWED_HOSTS")
    );
    for host in [
        "localhost",
        "app.localhost:1",
        "127.0.0.2:8080",
        "[::1]:8080",
    ] {
        let response = get_with(&gateway, "/v1/queues", &[("host", host)]).await;
        response.expect(200);
    }
    // Load balancers may check the health under any name. A page that did so would learn nothing but the status.
    for path in ["/healthz", "/readyz"] {
        let response = get_with(&gateway, path, &[("host", "evil.example")]).await;
        assert_ne!(response.status, 421, "{path}");
        assert!(response.body.is_null(), "{path}");
        assert_eq!(response.header("content-type"), None, "{path}");
    }
    let other_method = gateway.request(Method::POST, "/healthz");
    let problem = gateway
        .send(other_method.header("host", "evil.example"))
        .await;
    problem.expect_problem(421, "host_not_allowed");
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn on_all_addresses_only_pages_of_an_unknown_host_are_refused() {
    let gateway = Fixture::with_settings(|settings| {
        settings.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080));
        settings.allowed_origins =
            AllowedOrigins::parse("https://app.example").expect("the origin is valid");
    })
    .await;
    let host = ("host", "forebay.internal:8080");
    let agent = (
        "user-agent",
        "Mozilla/5.0 (Windows NT 10.0) PowerShell/7.4.0",
    );
    let same_origin = ("sec-fetch-site", "same-origin");
    for header in [agent, same_origin] {
        submit_with(&gateway, &[JSON, host, header])
            .await
            .expect(202);
        let read = get_with(&gateway, "/v1/queues", &[host, header]).await;
        read.expect(200);
    }
    // A page of the gateway behind its DNS name, and a page of another site after DNS rebinding, send the same.
    let page = ("origin", "http://forebay.internal:8080");
    let problem = submit_with(&gateway, &[JSON, host, page]).await;
    let problem = problem.expect_problem(421, "host_not_allowed");
    assert!(
        problem["detail"]
            .to_string()
            .contains("FOREBAY_ALLOWED_HOSTS")
    );
    for (host, page) in [
        ("10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("app.example", "https://app.example"),
        ("forebay.internal:8080", "https://app.example"),
    ] {
        let headers = [JSON, ("host", host), ("origin", page)];
        submit_with(&gateway, &headers).await.expect(202);
    }
}

#[tokio::test]
async fn with_configured_hosts_no_client_may_name_another_on_any_address() {
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        let gateway = Fixture::with_settings(|settings| {
            settings.listen = SocketAddr::from((address, 8080));
            settings.allowed_hosts =
                AllowedHosts::parse("forebay.internal").expect("the host is valid");
        })
        .await;
        let host = ("host", "forebay.internal:80");
        let page = ("origin", "http://forebay.internal:80");
        submit_with(&gateway, &[JSON, host, page]).await.expect(202);
        get_with(&gateway, "/v1/queues", &[host]).await.expect(200);
        for host in ["evil.example", "10.0.0.7"] {
            let problem = get_with(&gateway, "/v1/queues", &[("host", host)]).await;
            problem.expect_problem(421, "host_not_allowed");
        }
    }
}
