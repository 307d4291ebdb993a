//! A client of Forebay's API for tests. It knows the routes and nothing of what an answer should be.
//!
//! Clones share the address, so that a test can point all of them at a restarted process
//! ([`Client::set_url`]) while they retry.

mod retry;
#[cfg(test)]
mod tests;

pub use retry::{turn_key, turn_text};

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::RequestBuilder;
use serde_json::Value;

/// How long one HTTP request may take: longer than the longest `wait_s`.
const REQUEST_LIMIT: Duration = Duration::from_secs(70);

/// How long a connection is kept that nothing is asked on: less than the gateway keeps one, which would
/// otherwise close it under a request now and then.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// A client of one Forebay, or of several gateways to the same one ([`Client::any_of`]).
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    urls: Arc<RwLock<Vec<String>>>,
    /// What chooses among them; without it, the thread's own.
    random: Option<Arc<Mutex<StdRng>>>,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body; `null` if it was no JSON.
    pub body: Value,
}

impl Answer {
    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of an answer with this status.
    ///
    /// # Panics
    /// When the status is another.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "the answer was {}", self.body);
        self.body
    }
}

impl Client {
    /// A client of the Forebay at this URL, such as `http://127.0.0.1:8080`.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self::any_of(vec![url.to_owned()])
    }

    /// A client that asks one of these at random, at each request anew.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn any_of(urls: Vec<String>) -> Self {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_LIMIT)
            .pool_idle_timeout(IDLE_MAX)
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            http,
            urls: Arc::new(RwLock::new(urls)),
            random: None,
        }
    }

    /// The same client, but with choices of its own, which follow from this seed.
    #[must_use]
    pub fn choosing_from(&self, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self {
            random: Some(Arc::new(Mutex::new(random))),
            ..self.clone()
        }
    }

    /// Points this client and its clones at another address.
    pub fn set_url(&self, url: &str) {
        self.set_urls(vec![url.to_owned()]);
    }

    /// Points this client and its clones at other addresses, of which each request takes any.
    pub fn set_urls(&self, urls: Vec<String>) {
        *self.urls.write().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// The address of a path, such as `/v1/queues`.
    ///
    /// # Panics
    /// When there is no address to choose from.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        let urls = self.urls.read().unwrap_or_else(PoisonError::into_inner);
        let url = match &self.random {
            None => urls.choose(&mut rand::rng()),
            Some(random) => {
                urls.choose(&mut *random.lock().unwrap_or_else(PoisonError::into_inner))
            }
        };
        format!("{}{path}", url.expect("an address"))
    }

    /// The HTTP client, for requests that are not as they should be.
    #[must_use]
    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// `POST /v1/jobs`, with an idempotency key if there is one.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn try_submit(&self, job: &Value, key: Option<&str>) -> reqwest::Result<Answer> {
        let mut request = self.http.post(self.at("/v1/jobs")).json(job);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        answer(request).await
    }

    /// `POST /v1/jobs`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn submit(&self, job: &Value) -> Answer {
        whole(self.try_submit(job, None).await)
    }

    /// `POST /v1/jobs` with an `Idempotency-Key`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn submit_with_key(&self, job: &Value, key: &str) -> Answer {
        whole(self.try_submit(job, Some(key)).await)
    }

    /// `POST /v1/jobs`, which has to be answered with 202; returns the job.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn submit_ok(&self, job: &Value) -> Value {
        self.submit(job).await.expect(202)
    }

    /// `GET` of any path.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        answer(self.http.get(self.at(path))).await
    }

    /// `GET` of any path.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn get(&self, path: &str) -> Answer {
        whole(self.try_get(path).await)
    }

    /// `GET /v1/jobs/{id}`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn job(&self, id: &str) -> Answer {
        self.get(&format!("/v1/jobs/{id}")).await
    }

    /// `POST /v1/jobs/{id}/cancel`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn cancel(&self, id: &str) -> Answer {
        let path = format!("/v1/jobs/{id}/cancel");
        whole(answer(self.http.post(self.at(&path))).await)
    }

    /// `GET /v1/sessions/{id}`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn session(&self, id: &str) -> Answer {
        self.get(&format!("/v1/sessions/{id}")).await
    }

    /// `DELETE /v1/sessions/{id}`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn delete_session(&self, id: &str) -> Answer {
        let path = format!("/v1/sessions/{id}");
        whole(answer(self.http.delete(self.at(&path))).await)
    }

    /// `GET /v1/queues`.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn queues(&self) -> Answer {
        self.get("/v1/queues").await
    }
}

/// Whether a job's `status` is one that it keeps.
#[must_use]
pub fn is_terminal(job: &Value) -> bool {
    let status = job["status"].as_str().unwrap_or_default();
    ["completed", "failed", "cancelled", "expired"].contains(&status)
}

/// The id of a job or session.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn id_of(object: &Value) -> &str {
    match object["id"].as_str() {
        Some(id) => id,
        None => panic!("no id in {object}"),
    }
}

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

fn whole(answer: reqwest::Result<Answer>) -> Answer {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("no whole answer came: {error:?}"),
    }
}
