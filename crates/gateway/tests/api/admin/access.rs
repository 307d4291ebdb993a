//! Who may use the admin listener, and what its health routes answer.

use faulty_store::StoreMode;
use forebay_gateway::AllowedHosts;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Admin, value};
use crate::fixture::{Fixture, repeat_until};

#[tokio::test]
async fn readyz_names_what_is_missing_on_both_ports() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    repeat_until(|| gateway.get("/readyz"), |response| response.status == 200).await;
    assert_eq!(admin.get("/readyz", None).await.0, 200);
    assert_eq!(admin.get("/healthz", None).await.0, 200);

    gateway.store.set_mode(StoreMode::Down);
    let response = repeat_until(|| gateway.get("/readyz"), |response| response.status == 503).await;
    let of_api = response.expect_problem(503, "store_unavailable");
    let of_admin = admin.problem("/readyz").await;
    for problem in [of_api, of_admin] {
        assert_eq!(problem["missing"], json!(["store"]));
        assert_eq!(problem["code"], "store_unavailable");
    }
    assert_eq!(
        admin.get("/healthz", None).await.0,
        200,
        "a restart does not help"
    );

    gateway.store.set_mode(StoreMode::Up);
    repeat_until(|| gateway.get("/readyz"), |response| response.status == 200).await;
    gateway.member.begin_stop();
    let problem = admin.problem("/readyz").await;
    assert_eq!(problem["missing"], json!(["draining"]));
    assert_eq!(problem["code"], "stopping");
    assert_eq!(value(&admin.metrics().await, "forebay_draining"), Some(1.0));
}

#[tokio::test]
async fn only_the_hosts_of_the_machine_may_scrape_a_loopback_listener() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    let request = admin.http.get(format!("{}/metrics", admin.url));
    let response = request.header("host", "attacker.example").send().await;
    assert_eq!(
        response.expect("the server responds").status().as_u16(),
        421
    );
}

/// Scrapers and probes use the address of a pod. Host names are still checked.
#[tokio::test]
async fn scrapers_may_use_any_ip_address_whatever_hosts_are_allowed() {
    let gateway = Fixture::start().await;
    let allowed = AllowedHosts::parse("forebay.example").expect("the hosts are valid");
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let admin = Admin::with_hosts(&gateway, listen, allowed.clone()).await;
        for (host, path, expected) in [
            ("10.0.0.7:9464", "/metrics", 200),
            ("[fd00::7]:9464", "/metrics", 200),
            ("10.0.0.7:9464", "/healthz", 200),
            ("forebay.example", "/metrics", 200),
            ("attacker.example", "/metrics", 421),
        ] {
            let request = admin.http.get(format!("{}{path}", admin.url));
            let response = request.header("host", host).send().await;
            let response = response.expect("the server responds");
            assert_eq!(response.status().as_u16(), expected, "{host} {path}");
            let body = response.text().await.expect("a body");
            assert!(!body.is_empty(), "{host} {path}: the answer says why");
        }
    }
}

#[tokio::test]
async fn idle_connections_do_not_keep_out_a_probe() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    let mut idle = Vec::new();
    // More than the listener keeps open. Some have sent a part of a request.
    for number in 0..200 {
        let mut stream = TcpStream::connect(admin.address).await.expect("connected");
        if number % 2 == 0 {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\n")
                .await
                .expect("sent");
        }
        idle.push(stream);
    }
    assert_eq!(admin.get("/healthz", None).await.0, 200);
    drop(idle);
}

#[tokio::test]
async fn another_method_gets_a_problem_with_the_allowed_ones() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    for path in ["/metrics", "/healthz", "/readyz"] {
        let request = admin.http.post(format!("{}{path}", admin.url));
        let response = request.send().await.expect("the server responds");
        assert_eq!(response.status().as_u16(), 405, "{path}");
        assert_eq!(response.headers()["allow"], "GET,HEAD", "{path}");
        let problem: serde_json::Value = response.json().await.expect("the body is JSON");
        assert_eq!(problem["code"], "method_not_allowed", "{path}");
    }
}

#[tokio::test]
async fn every_answer_of_the_admin_listener_has_a_request_id() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    for path in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
        let answered = admin.answered_id(path, "my-id").await;
        assert_eq!(answered.as_deref(), Some("my-id"), "{path}");
        let new = admin.answered_id(path, "not valid").await;
        assert_eq!(new.map(|id| id.len()), Some(32), "{path}");
    }
}
