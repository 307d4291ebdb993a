//! A gateway in this process, an HTTP client for it, and functions that act as its worker.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use forebay_engine::embedded::Embedded;
use forebay_gateway::GatewaySettings;
use forebay_metrics::Metrics;
use forebay_runtime::{
    lanes::{Applied, AttemptOutput, ClaimKey, LaneChange, LaneSettings},
    member::{Member, MemberSettings},
    memory::MemoryShares,
};
use forebay_shared::{
    document::UnknownFields,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{FinishReason, Reply},
    session::SessionBounds,
    store::Store,
    turn::{Role, Turn},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use faulty_store::FaultyStore;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A gateway, its store, and a client.
pub(crate) struct Fixture {
    pub(crate) member: Arc<Member>,
    /// The store behind the gateway. A test can make it fail.
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) server: JoinHandle<()>,
    http: reqwest::Client,
    folder: TempDir,
}

/// A response, read to its end.
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl ApiResponse {
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("the body is read to its end");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("the value is text"))
    }

    /// Asserts that the response is a problem with this status and code. Returns its body.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.body["code"], code, "{}", self.body);
        assert_eq!(self.body["type"], format!("urn:forebay:problem:{code}"));
        assert_eq!(self.body["status"], status);
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        if status == 503 {
            let seconds: u64 = self
                .header("retry-after")
                .expect("the response has a Retry-After header")
                .parse()
                .unwrap();
            assert!((1..=300).contains(&seconds));
        }
        self.body
    }

    /// Asserts the status. Returns the body.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

impl Fixture {
    /// Starts a gateway with the default settings and a default model.
    pub(crate) async fn start() -> Self {
        Self::with_settings(|_| {}).await
    }

    /// Starts a gateway with changed settings. It listens on a free port of the address.
    pub(crate) async fn with_settings(change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let folder = tempfile::tempdir().expect("the folder is created");
        let engine = Embedded::open(folder.path()).expect("the engine opens");
        Self::over(engine.store(), &engine, folder, change).await
    }

    /// Starts a gateway with the default settings over this store.
    pub(crate) async fn with_store(store: Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().expect("the folder is created");
        let engine = Embedded::open(folder.path()).expect("the engine opens");
        Self::over(store, &engine, folder, |_| {}).await
    }

    /// Starts a gateway over this store and the queue of this engine.
    pub(crate) async fn over(
        store: Arc<dyn Store>,
        engine: &Embedded,
        folder: TempDir,
        change: impl FnOnce(&mut GatewaySettings),
    ) -> Self {
        let store = Arc::new(FaultyStore::new(store));
        let lanes = LaneSettings {
            session: SessionBounds {
                ttl_ms: 60_000,
                turns_max: 200,
                turns_bytes_max: 32 << 20,
            },
            result_ttl_ms: 60_000,
        };
        let settings = MemberSettings {
            // Longer than a busy machine stalls. When the presence is older, `/readyz` fails.
            presence_ttl_ms: 10_000,
            sessions_max: None,
            memory: MemoryShares::default(),
            lanes,
            metrics: Metrics::default(),
        };
        let process = ProcessId::fresh("test");
        let member = Member::join(process, Arc::clone(&store) as _, engine.queue(), &settings);
        let member = Arc::new(member);
        let mut settings = GatewaySettings {
            default_model: Some(String::from("simulated")),
            ..GatewaySettings::default()
        };
        change(&mut settings);

        let listener = TcpListener::bind((settings.listen.ip(), 0))
            .await
            .expect("the port opens");
        let port = listener.local_addr().expect("the address is valid").port();
        // Requests use the loopback address, even if the gateway listens on all addresses.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stop = CancellationToken::new();
        let serving = forebay_gateway::serve(listener, Arc::clone(&member), settings, stop.clone());
        Self {
            member,
            store,
            address,
            stop,
            server: tokio::spawn(serving),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("the client is built"),
            folder,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.http.request(method, url)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> ApiResponse {
        ApiResponse::read(request.send().await.expect("the server responds")).await
    }

    /// Sends a request whose body is too large. The gateway reads such a body only for a bounded time. So the connection
    /// may end before the client has read the response. Then the request is sent again.
    pub(crate) async fn send_too_large(&self, request: impl Fn() -> RequestBuilder) -> ApiResponse {
        for _ in 0..100 {
            if let Ok(response) = request().send().await {
                return ApiResponse::read(response).await;
            }
        }
        panic!("100 requests got no response");
    }

    pub(crate) async fn get(&self, path: &str) -> ApiResponse {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str) -> ApiResponse {
        self.send(self.request(Method::POST, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> ApiResponse {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn submit(&self, job: &Value) -> ApiResponse {
        self.send(self.request(Method::POST, "/v1/jobs").json(job))
            .await
    }

    /// Submits a body as it is.
    pub(crate) async fn submit_text(&self, body: String) -> ApiResponse {
        let request = self.request(Method::POST, "/v1/jobs");
        let request = request.header("content-type", "application/json");
        self.send(request.body(body)).await
    }

    pub(crate) async fn submit_with_key(&self, job: &Value, key: &str) -> ApiResponse {
        let request = self.request(Method::POST, "/v1/jobs").json(job);
        self.send(request.header("idempotency-key", key)).await
    }

    /// Submits a job with a key. The future does not borrow the fixture, so it can run in a task.
    pub(crate) fn submit_with_key_later(
        &self,
        job: &Value,
        key: &str,
    ) -> impl Future<Output = ApiResponse> + Send + use<> {
        let request = self.request(Method::POST, "/v1/jobs").json(job);
        let request = request.header("idempotency-key", key);
        async move { ApiResponse::read(request.send().await.expect("the server responds")).await }
    }

    /// The bytes of all files of the store.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).expect("the folder can be read");
        files
            .map(|file| file.and_then(|file| file.metadata()))
            .map(|file| file.expect("the file can be read").len())
            .sum()
    }

    /// Submits a job that must be accepted. Returns its id.
    pub(crate) async fn submit_accepted(&self, job: &Value) -> JobId {
        id_of(&self.submit(job).await.expect(202))
    }

    /// Submits jobs until the backlog has as many jobs as its limit, and the limit refuses one. A job that was
    /// admitted while a sample of the counts was made counts twice until the next sample, so the gateway may refuse submits too early.
    pub(crate) async fn fill_backlog(&self, backlog_max: u64) {
        let filling = async {
            loop {
                let response = self.submit(&job_in_session("filler")).await;
                let live = self.live_jobs().await;
                assert!(live <= backlog_max, "{live} jobs are live");
                if response.status != 503 {
                    response.expect(202);
                    continue;
                }
                response.expect_problem(503, "backlog_full");
                if live == backlog_max {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let filled = tokio::time::timeout(TIMEOUT, filling).await;
        filled.expect("the backlog becomes full");
    }

    /// Completes all jobs of a session, one after the other.
    pub(crate) async fn complete_all(&self, session: &str) {
        self.complete_all_of(&lane_of(session)).await;
    }

    /// Completes all jobs of a lane, one after the other.
    pub(crate) async fn complete_all_of(&self, lane: &LaneKey) {
        while let Some(head) = self.head(lane).await {
            self.complete(lane, head, "Done.").await;
        }
    }

    async fn head(&self, lane: &LaneKey) -> Option<JobId> {
        let loaded = self
            .member
            .store
            .load(lane, &[], None)
            .await
            .expect("the store answers");
        loaded.lane.head().map(|head| head.job)
    }

    /// The number of live jobs in the store now.
    pub(crate) async fn live_jobs(&self) -> u64 {
        self.member
            .store
            .counts()
            .await
            .expect("the store answers")
            .live()
    }

    /// Claims the job, as a worker does. Returns its fence.
    pub(crate) async fn claim(&self, lane: &LaneKey, job: JobId) -> u64 {
        let change = LaneChange::claim(lane.clone(), job, self.member.id.clone(), 60_000, u64::MAX);
        match self
            .member
            .lanes
            .apply(change, TIMEOUT)
            .await
            .expect("the claim is committed")
        {
            Applied::Claimed { fence, .. } => fence,
            applied => panic!("the claim returned {applied:?}"),
        }
    }

    /// Claims the job and completes it with this text, as a worker does.
    pub(crate) async fn complete(&self, lane: &LaneKey, job: JobId, text: &str) {
        let fence = self.claim(lane, job).await;
        let output = AttemptOutput {
            reply: Reply {
                text: Some(text.to_owned()),
                reasoning: None,
                tool_calls: Vec::new(),
                finish_reason: FinishReason::Stop,
                usage: None,
                turns_sent: 1,
                turns_dropped: 0,
                unknown: UnknownFields::NONE,
            },
            provider: Some(String::from("test worker")),
            replace_from_turn: None,
            turns: vec![
                Turn::text(Role::User, "asked"),
                Turn::text(Role::Assistant, text),
            ],
            token_measure: None,
        };
        let claim = ClaimKey {
            lane: lane.clone(),
            job,
            fence,
        };
        let change = LaneChange::complete(claim, None, Arc::new(output));
        self.member
            .lanes
            .apply(change, TIMEOUT)
            .await
            .expect("the finish is committed");
    }
}

/// Repeats a request until `is_expected` returns true for its response. Panics after [`TIMEOUT`].
pub(crate) async fn repeat_until<F: Future<Output = ApiResponse>>(
    request: impl Fn() -> F,
    is_expected: impl Fn(&ApiResponse) -> bool,
) -> ApiResponse {
    let repeating = async {
        loop {
            let response = request().await;
            if is_expected(&response) {
                return response;
            }
            // The expected change comes with the next sample of the counts, or after a timeout.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let repeated = tokio::time::timeout(TIMEOUT, repeating).await;
    repeated.expect("the response becomes as expected")
}

/// The id of the job in a response.
#[track_caller]
pub(crate) fn id_of(job: &Value) -> JobId {
    JobId::parse(job["id"].as_str().expect("the job has an id"))
        .expect("the id of the job is valid")
}

/// The lane of a job without a session.
pub(crate) fn lane_without_session(job: JobId) -> LaneKey {
    LaneKey::of(&TenantId::default(), None, job)
}

/// The lane of a session.
pub(crate) fn lane_of(session: &str) -> LaneKey {
    LaneKey::Session {
        tenant: TenantId::default(),
        session: SessionId::parse(session).expect("the id of the session is valid"),
    }
}

/// The body of a submit for a session.
pub(crate) fn job_in_session(session: &str) -> Value {
    json!({"input": "Hi.", "session_id": session})
}
