//! `forebay check` makes one call. Its exit code shows whether the model answered, and its output reports what is wrong.

use e2e::process::{Exited, Forebay};
use scripted_provider::{
    ScriptedLlm,
    http_server::{Exchange, HttpServer, Response, Version},
};
use serde_json::json;
use servers::tls::Certificates;

use crate::{
    fixture::TIMEOUT,
    local_server::LocalServer,
    tls_provider::server::{ANSWER_TEXT, Server},
};

const KEY: &str = "test-key-that-nobody-may-see";

/// Runs `forebay check` with these arguments and environment variables.
async fn check(args: &[&str], env: &[(&str, &str)]) -> Exited {
    let mut builder = Forebay::builder().arg("check");
    for arg in args {
        builder = builder.arg(*arg);
    }
    for (name, value) in env {
        builder = builder.env(name, *value);
    }
    let exited = builder.run_to_exit(TIMEOUT).await;
    let shown = format!("{}{}", exited.stdout, exited.stderr);
    assert!(!shown.contains(KEY), "the key is shown: {shown}");
    exited
}

#[track_caller]
fn assert_failed(exited: &Exited, parts: &[&str]) {
    assert_eq!(exited.code, Some(1), "{exited:?}");
    for part in parts {
        assert!(
            exited.stderr.contains(part),
            "{part} is missing: {exited:?}"
        );
    }
}

#[tokio::test]
async fn a_model_that_answers_is_shown_with_its_provider() {
    let server = LocalServer::start(&["qwen3"]).await;
    let url = server.base_url();
    for (args, reply) in [
        (&[][..], "I am qwen3."),
        (&["acme/large"], "I am acme/large."),
        (&["openai/large"], "I am large."),
    ] {
        let exited = check(args, &[("OPENAI_BASE_URL", &url)]).await;
        assert_eq!(exited.code, Some(0), "{exited:?}");
        for part in [reply, url.as_str(), "openai"] {
            assert!(
                exited.stdout.contains(part),
                "{part} is missing: {exited:?}"
            );
        }
    }
}

#[tokio::test]
async fn gemini_is_checked_too() {
    let llm = ScriptedLlm::start().await;
    let url = llm.gemini_base_url();
    let env = [("GEMINI_BASE_URL", url.as_str()), ("GEMINI_API_KEY", KEY)];
    let exited = check(&["gemini-test"], &env).await;
    assert_eq!(exited.code, Some(0), "{exited:?}");
    let exited = check(&["gemini-test"], &env[..1]).await;
    assert_failed(&exited, &["GEMINI_API_KEY"]);
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    assert_failed(
        &check(&[], &[]).await,
        &["OPENAI_API_KEY", "OPENAI_BASE_URL"],
    );
    let key = [("OPENAI_API_KEY", KEY)];
    assert_failed(
        &check(&[], &key).await,
        &["FOREBAY_MODEL", "forebay check MODEL"],
    );
    assert_failed(&check(&["gpt-5"], &[]).await, &["OPENAI_API_KEY"]);
    let exited = check(&[], &[("OPENAI_BASE_URL", "no URL")]).await;
    assert_eq!(exited.code, Some(2), "{exited:?}");
}

#[tokio::test]
async fn an_error_of_the_provider_is_explained() {
    let error = |message: &str| json!({ "error": { "message": message } }).to_string();
    let redirect = Response::json(301, "").with_header("location", "https://new.example/v1");
    for (response, parts) in [
        (
            Response::json(401, error("no")),
            ["Wrong key", "OPENAI_API_KEY"],
        ),
        (
            Response::json(404, error("model 'm' not found")),
            ["Model not found", "model_not_found"],
        ),
        (
            Response::json(400, error("Invalid model name passed in model=m")),
            ["Model not found", "model=m"],
        ),
        (
            Response::json(404, "404 page not found"),
            ["Wrong URL", "/v1/chat/completions"],
        ),
        (
            Response::json(405, error("Method Not Allowed")),
            ["Wrong URL", "OPENAI_BASE_URL"],
        ),
        (redirect, ["Wrong URL", "https://new.example/v1"]),
        (
            Response::json(200, "<html>Welcome</html>"),
            ["Wrong URL", "Welcome"],
        ),
        (
            Response::json(200, "it works"),
            ["Wrong URL", "invalid_response"],
        ),
        (
            Response::json(400, "Client sent an HTTP request to an HTTPS server."),
            ["Wrong URL", "https://"],
        ),
        (Response::json(429, error("slow")), ["too often", "slow"]),
        (
            Response::json(500, error("oops")),
            ["provider_error", "oops"],
        ),
    ] {
        let answer = response.clone();
        let handler = move |exchange: Exchange| {
            let answer = answer.clone();
            async move {
                exchange.answer(&answer).await;
            }
        };
        let server = HttpServer::builder().start(handler).await;
        let url = format!("http://{}/v1", server.address());
        let env = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_API_KEY", KEY)];
        let exited = check(&["m"], &env).await;
        assert_failed(&exited, &parts);
    }
}

#[tokio::test]
async fn the_error_about_an_unknown_model_lists_the_servers_models() {
    let handler = |exchange: Exchange| async move {
        let response = if exchange.request.method == "GET" {
            Response::json(200, r#"{"data":[{"id":"qwen3"},{"id":"acme/large"}]}"#)
        } else {
            Response::json(404, r#"{"error":"model 'm' not found"}"#)
        };
        exchange.answer(&response).await;
    };
    let server = HttpServer::builder().start(handler).await;
    let url = format!("http://{}/v1", server.address());
    let exited = check(&["m"], &[("OPENAI_BASE_URL", &url)]).await;
    assert_failed(&exited, &["Model not found", "lists: qwen3, acme/large"]);

    let server = LocalServer::start(&["a", "b"]).await;
    let url = server.base_url();
    let exited = check(&[], &[("OPENAI_BASE_URL", &url)]).await;
    assert_failed(&exited, &["FOREBAY_MODEL", "lists 2: a, b"]);
}

#[tokio::test]
async fn a_failed_connection_is_explained() {
    let llm = ScriptedLlm::start().await;
    let https_url_of_http_server = format!("https://{}/v1", llm.address());
    let proxy_url = format!("http://{}", llm.address());
    for (env, parts) in [
        // Nothing listens on port 9 of this machine. Names that end in `.invalid` do not exist (RFC 2606).
        (
            vec![("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")],
            ["No connection", "nothing listens"],
        ),
        (
            vec![("OPENAI_BASE_URL", "http://llm.invalid/v1")],
            ["No connection", "has no address"],
        ),
        (
            vec![("OPENAI_BASE_URL", https_url_of_http_server.as_str())],
            ["TLS", "http://"],
        ),
        (
            vec![
                ("OPENAI_BASE_URL", "http://llm.invalid/v1"),
                ("HTTP_PROXY", "http://127.0.0.1:9"),
            ],
            ["Proxy", "HTTP_PROXY"],
        ),
        (
            vec![
                ("OPENAI_BASE_URL", "https://llm.invalid/v1"),
                ("HTTPS_PROXY", proxy_url.as_str()),
            ],
            ["Proxy", "HTTPS_PROXY"],
        ),
    ] {
        assert_failed(&check(&["m"], &env).await, &parts);
    }
}

#[tokio::test]
async fn the_recipe_for_a_private_ca_works() {
    let certificates = Certificates::new().expect("the certificates are made");
    let server = Server::with(Version::HTTP_2, certificates).await;
    server.permit_answers(1);
    let (url, ca_file) = (server.base_url(), server.ca_file());
    let replacements = [
        ("https://llm.corp/v1", url.as_str()),
        ("/etc/ssl/corp-ca.pem", ca_file.as_str()),
    ];
    let recipes = crate::recipes::commands("recipe-ca", &replacements);
    let [(args, env)] = &recipes[..] else {
        panic!("the recipe does not have exactly one command: {recipes:?}");
    };
    assert_eq!(args, &["check"]);
    let env: Vec<(&str, &str)> = env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let exited = check(&[], &env).await;
    assert_eq!(exited.code, Some(0), "{exited:?}");
    assert!(exited.stdout.contains(ANSWER_TEXT), "{exited:?}");

    let without_ca: Vec<(&str, &str)> = env
        .into_iter()
        .filter(|(name, _)| *name != "FOREBAY_CA_FILE")
        .collect();
    assert_failed(&check(&[], &without_ca).await, &["TLS", "FOREBAY_CA_FILE"]);
}
