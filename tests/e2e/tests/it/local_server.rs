//! A local server as the provider. It needs no key. If it lists only one model, jobs need not name a model.

use std::sync::{Arc, Mutex};

use e2e::{
    client::{Client, id_of},
    process::{Builder, Forebay},
};
use scripted_provider::http_server::{Exchange, HttpServer, Response};
use serde_json::{Value, json};

use crate::fixture::TIMEOUT;

/// A server with OpenAI's API that lists these models. It shows the model of a request in its reply.
pub(crate) struct LocalServer {
    http: HttpServer,
    /// The answer to `GET /v1/models`.
    list: Arc<Mutex<Response>>,
    /// The header `authorization` of each request, in the order of arrival; `None` if a request has none.
    keys: Arc<Mutex<Vec<Option<String>>>>,
}

impl LocalServer {
    /// Starts a server that lists these models.
    pub(crate) async fn start(models: &[&str]) -> Self {
        let list = Arc::new(Mutex::new(list_of(models)));
        let keys = Arc::new(Mutex::new(Vec::new()));
        let shared = (Arc::clone(&list), Arc::clone(&keys));
        let handler = move |exchange| answer(exchange, shared.clone());
        let http = HttpServer::builder().start(handler).await;
        Self { http, list, keys }
    }

    /// The base URL, for `OPENAI_BASE_URL`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.http.address())
    }

    /// Answers later requests for the list with this response.
    fn set_list(&self, response: Response) {
        *self.list.lock().expect("no holder of the lock panics") = response;
    }

    fn keys(&self) -> Vec<Option<String>> {
        self.keys
            .lock()
            .expect("no holder of the lock panics")
            .clone()
    }
}

fn list_of(models: &[&str]) -> Response {
    let data: Vec<Value> = models.iter().map(|id| json!({ "id": id })).collect();
    Response::json(200, json!({ "object": "list", "data": data }).to_string())
}

type Shared = (Arc<Mutex<Response>>, Arc<Mutex<Vec<Option<String>>>>);

async fn answer(exchange: Exchange, (list, keys): Shared) {
    let request = &exchange.request;
    let key = request.headers.get("authorization");
    let key = key.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    keys.lock().expect("no holder of the lock panics").push(key);
    let response = if request.method == "GET" && request.target == "/v1/models" {
        list.lock().expect("no holder of the lock panics").clone()
    } else {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let content = format!("I am {}.", body["model"].as_str().unwrap_or_default());
        let message = json!({ "role": "assistant", "content": content });
        let choice = json!({ "message": message, "finish_reason": "stop" });
        Response::json(200, json!({ "choices": [choice] }).to_string())
    };
    exchange.answer(&response).await;
}

/// Runs a job without a model. Returns the job when it has ended.
async fn job_without_model(forebay: &Forebay) -> Value {
    let client = Client::new(forebay.url());
    let job = client.submit_ok(&json!({ "input": "hi" })).await;
    client.wait(id_of(&job), TIMEOUT).await
}

fn builder(server: &LocalServer) -> Builder {
    Forebay::builder().env("OPENAI_BASE_URL", server.base_url())
}

#[tokio::test]
async fn neither_a_key_nor_a_model_is_needed() {
    let server = LocalServer::start(&["acme/qwen3:8b"]).await;
    let forebay = builder(&server).start().await;
    for _ in 0..2 {
        let job = job_without_model(&forebay).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["output"]["text"], "I am acme/qwen3:8b.", "{job}");
        assert_eq!(job["provider"], "openai", "{job}");
    }
    assert!(server.keys().iter().all(Option::is_none));
    let logs = forebay.logs();
    assert!(!logs.contains("simulated"), "{logs}");
}

#[tokio::test]
async fn the_key_is_also_sent_with_the_request_for_the_list() {
    let server = LocalServer::start(&["m"]).await;
    let forebay = builder(&server).env("OPENAI_API_KEY", "k").start().await;
    let job = job_without_model(&forebay).await;
    assert_eq!(job["output"]["text"], "I am m.", "{job}");
    let key = Some(String::from("Bearer k"));
    assert_eq!(server.keys(), [key.clone(), key]);
}

#[tokio::test]
async fn without_a_model_the_only_entry_of_the_providers_file_is_used() {
    let server = LocalServer::start(&["m"]).await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let path = folder.path().join("providers.toml");
    let file = format!("[providers.local]\nbase_url = \"{}\"\n", server.base_url());
    std::fs::write(&path, file).expect("the file is written");
    let path = path.to_str().expect("the path is UTF-8");
    let forebay = Forebay::builder()
        .env("FOREBAY_PROVIDERS_FILE", path)
        .start()
        .await;
    let job = job_without_model(&forebay).await;
    assert_eq!(job["provider"], "local", "{job}");
    assert_eq!(job["output"]["text"], "I am m.", "{job}");
}

#[tokio::test]
async fn the_error_names_the_setting_and_the_listed_models() {
    for (response, part) in [
        (list_of(&["a", "b"]), "lists 2: a, b"),
        (list_of(&[]), "lists none"),
        (
            Response::json(404, r#"{"detail":"Not Found"}"#),
            "does not list any",
        ),
        (Response::json(200, "<html></html>"), "does not list any"),
    ] {
        let server = LocalServer::start(&[]).await;
        server.set_list(response);
        let job = job_without_model(&builder(&server).start().await).await;
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
        let message = job["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("FOREBAY_MODEL") && message.contains(part),
            "{job}"
        );
    }
}

#[tokio::test]
async fn a_configured_model_is_called_and_the_list_is_not_read() {
    let server = LocalServer::start(&["a", "b"]).await;
    let forebay = builder(&server).env("FOREBAY_MODEL", "b").start().await;
    let job = job_without_model(&forebay).await;
    assert_eq!(job["output"]["text"], "I am b.", "{job}");
    assert_eq!(
        server.keys().len(),
        1,
        "the list was read although a model is configured"
    );
}

#[tokio::test]
async fn the_log_has_a_line_for_each_provider() {
    let server = LocalServer::start(&[]).await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let path = folder.path().join("providers.toml");
    let file = "[providers.acme]\nbase_url = \"http://127.0.0.1:9/v1?key=hidden\"\n\
                key_env = \"ACME_KEY\"\nmodels = [\"acme-*\"]\n";
    std::fs::write(&path, file).expect("the file is written");
    let path = path.to_str().expect("the path is UTF-8");
    let forebay = builder(&server)
        .env("FOREBAY_PROVIDERS_FILE", path)
        .env("GEMINI_API_KEY", "never-shown")
        .start()
        .await;
    let logs = forebay.logs();
    let base_url = server.base_url();
    for parts in [
        ["provider=\"openai\"", base_url.as_str(), "key=\"none\""],
        ["provider=\"gemini\"", "https://", "GEMINI_API_KEY is set"],
        ["provider=\"acme\"", "acme-*", "ACME_KEY is not set"],
    ] {
        let has_parts = |line: &str| parts.iter().all(|part| line.contains(part));
        assert_eq!(
            logs.lines().filter(|line| has_parts(line)).count(),
            1,
            "{parts:?}: {logs}"
        );
    }
    assert!(
        !logs.contains("never-shown") && !logs.contains("hidden"),
        "{logs}"
    );
}
