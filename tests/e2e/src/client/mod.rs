//! A client of Forebay's API for tests. It sends requests, and the tests check the answers.
//!
//! Clones share their URLs. While clones retry, a test can point all of them at a restarted process ([`Client::set_url`]).

mod retry;
#[cfg(test)]
mod tests;

pub use retry::{turn_key, turn_text};

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::RequestBuilder;
use serde_json::Value;

/// The timeout of one HTTP request: longer than the longest `wait_s`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(180);

/// How long an idle connection is kept. The gateway keeps its connections for longer. Otherwise the gateway would
/// sometimes close a connection while the client sends a request on it.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// A client of one process, or of several gateways of the same fleet ([`Client::any_of`]).
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    urls: Arc<RwLock<Vec<String>>>,
    /// The generator that chooses the URL of a request. `None` stands for the thread's generator.
    random: Option<Arc<Mutex<StdRng>>>,
}

/// An HTTP client whose requests have these headers.
fn http_client(headers: HeaderMap) -> reqwest::Client {
    reqwest::Client::builder()
        .default_headers(headers)
        .timeout(REQUEST_TIMEOUT)
        .pool_idle_timeout(IDLE_MAX)
        .no_proxy()
        .build()
        .expect("the HTTP client is made")
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `null` if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The value of a header, if the header is there and its value is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of an answer that has this status.
    ///
    /// # Panics
    /// If the answer has another status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "the answer was {}", self.body);
        self.body
    }
}

impl Client {
    /// A client of the process at this URL, for example `http://127.0.0.1:8080`.
    ///
    /// # Panics
    /// If no HTTP client can be made.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self::any_of(vec![url.to_owned()])
    }

    /// A client that sends each request to a random one of these URLs.
    ///
    /// # Panics
    /// If no HTTP client can be made.
    #[must_use]
    pub fn any_of(urls: Vec<String>) -> Self {
        Self {
            http: http_client(HeaderMap::new()),
            urls: Arc::new(RwLock::new(urls)),
            random: None,
        }
    }

    /// A client of the same processes that sends this API key with each request.
    ///
    /// # Panics
    /// If the key cannot be in a header, or no HTTP client can be made.
    #[must_use]
    pub fn with_api_key(&self, key: &str) -> Self {
        let value = HeaderValue::try_from(format!("Bearer {key}"));
        let value = value.expect("the key can be in a header");
        Self {
            http: http_client(HeaderMap::from_iter([(AUTHORIZATION, value)])),
            ..self.clone()
        }
    }

    /// The same client, but it chooses the URL of each request with a generator of this seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self {
            random: Some(Arc::new(Mutex::new(random))),
            ..self.clone()
        }
    }

    /// Points this client and its clones at another URL.
    pub fn set_url(&self, url: &str) {
        self.set_urls(vec![url.to_owned()]);
    }

    /// Points this client and its clones at other URLs. Each request goes to a random one.
    pub fn set_urls(&self, urls: Vec<String>) {
        *self.urls.write().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// The URL of a path, for example `/v1/queues`.
    ///
    /// # Panics
    /// If the client has no URL.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        let urls = self.urls.read().unwrap_or_else(PoisonError::into_inner);
        let url = match &self.random {
            None => urls.choose(&mut rand::rng()),
            Some(random) => {
                urls.choose(&mut *random.lock().unwrap_or_else(PoisonError::into_inner))
            }
        };
        format!("{}{path}", url.expect("the client has a URL"))
    }

    /// The HTTP client, for requests that no method of this type sends.
    #[must_use]
    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends any request of the [HTTP client](Self::http).
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        expect_complete(answer(request).await)
    }

    /// `POST /v1/jobs`, with an idempotency key if there is one.
    ///
    /// # Errors
    /// If the client gets no complete answer.
    pub async fn try_submit(&self, job: &Value, key: Option<&str>) -> reqwest::Result<Answer> {
        let mut request = self.http.post(self.url_of("/v1/jobs")).json(job);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        answer(request).await
    }

    /// `POST /v1/jobs`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn submit(&self, job: &Value) -> Answer {
        expect_complete(self.try_submit(job, None).await)
    }

    /// `POST /v1/jobs` with an `Idempotency-Key`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn submit_with_key(&self, job: &Value, key: &str) -> Answer {
        expect_complete(self.try_submit(job, Some(key)).await)
    }

    /// Sends `POST /v1/jobs` and returns the accepted job.
    ///
    /// # Panics
    /// If the answer is not 202.
    pub async fn submit_ok(&self, job: &Value) -> Value {
        self.submit(job).await.expect(202)
    }

    /// `GET` of any path.
    ///
    /// # Errors
    /// If the client gets no complete answer.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        answer(self.http.get(self.url_of(path))).await
    }

    /// `GET` of any path.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn get(&self, path: &str) -> Answer {
        expect_complete(self.try_get(path).await)
    }

    /// `GET /v1/jobs/{id}`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn job(&self, id: &str) -> Answer {
        self.get(&format!("/v1/jobs/{id}")).await
    }

    /// `POST /v1/jobs/{id}/cancel`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn cancel(&self, id: &str) -> Answer {
        let path = format!("/v1/jobs/{id}/cancel");
        expect_complete(answer(self.http.post(self.url_of(&path))).await)
    }

    /// `POST /v1/jobs/{id}/retry`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn retry(&self, id: &str) -> Answer {
        let path = format!("/v1/jobs/{id}/retry");
        expect_complete(answer(self.http.post(self.url_of(&path))).await)
    }

    /// `DELETE /v1/jobs/{id}`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn delete_job(&self, id: &str) -> Answer {
        let path = format!("/v1/jobs/{id}");
        expect_complete(answer(self.http.delete(self.url_of(&path))).await)
    }

    /// `GET /v1/sessions/{id}`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn session(&self, id: &str) -> Answer {
        self.get(&format!("/v1/sessions/{id}")).await
    }

    /// `PUT /v1/sessions/{id}`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn put_session(&self, id: &str, session: &Value) -> Answer {
        let path = format!("/v1/sessions/{id}");
        expect_complete(answer(self.http.put(self.url_of(&path)).json(session)).await)
    }

    /// `PATCH /v1/sessions/{id}` with a JSON Merge Patch.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn patch_session(&self, id: &str, patch: &Value) -> Answer {
        let path = format!("/v1/sessions/{id}");
        let request = self.http.patch(self.url_of(&path));
        let request = request.header("content-type", "application/merge-patch+json");
        expect_complete(answer(request.body(patch.to_string())).await)
    }

    /// `DELETE /v1/sessions/{id}`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn delete_session(&self, id: &str) -> Answer {
        let path = format!("/v1/sessions/{id}");
        expect_complete(answer(self.http.delete(self.url_of(&path))).await)
    }

    /// `GET /v1/queues`.
    ///
    /// # Panics
    /// If the client gets no complete answer.
    pub async fn queues(&self) -> Answer {
        self.get("/v1/queues").await
    }
}

/// Whether the `status` of a job is final.
#[must_use]
pub fn is_terminal(job: &Value) -> bool {
    let status = job["status"].as_str().unwrap_or_default();
    ["completed", "failed", "cancelled", "expired"].contains(&status)
}

/// The id of a job or session.
///
/// # Panics
/// If the object has no id.
#[must_use]
pub fn id_of(object: &Value) -> &str {
    match object["id"].as_str() {
        Some(id) => id,
        None => panic!("there is no id in {object}"),
    }
}

/// Sends the request and returns the answer.
async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// The answer. Panics if the client got no complete answer.
fn expect_complete(answer: reqwest::Result<Answer>) -> Answer {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("the client got no complete answer: {error:?}"),
    }
}
