//! Sends requests with JSON to one provider and reads the answers, within limits on time and bytes.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use forebay_shared::account::ReportedLimits;
use forebay_telemetry::TraceContext;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT},
};
use reqwest::{RequestBuilder, Response};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    builder::{ClientBuilder, ClientError},
    clients::{ClientPermit, Clients},
    coding,
    endpoint::Endpoint,
    redirect,
    reply_memory::{ReplyBudgets, ReplyMemory, Reservation},
    settings::{HttpLimits, HttpSettings},
    transport,
};
use crate::provider::{Failure, first_byte, rate_limit_headers, retry_after};

/// How long the body of an error is read after its headers have arrived, in milliseconds. A part of the body suffices to
/// describe the error.
const ERROR_BODY_MS: u64 = 10_000;

/// The most times that one call sends its request. If the call that opens a shared connection is cancelled, the other calls
/// send their requests again.
const SENDS_MAX: u32 = 100;

/// The most bytes of an error's body that are read.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// The most bytes that are allocated before a body arrives. A longer body grows the buffer as it arrives.
const FIRST_BUFFER_BYTES: usize = 64 * 1024;

/// The header of the trace that a request belongs to (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request to a provider.
pub(in crate::provider) struct OutgoingRequest<'a> {
    pub(in crate::provider) method: Method,
    pub(in crate::provider) url: &'a Url,
    /// The body as JSON, or nothing.
    pub(in crate::provider) body: Bytes,
    /// The trace that the request belongs to.
    pub(in crate::provider) trace: Option<TraceContext>,
}

impl OutgoingRequest<'_> {
    fn build(&self, client: &ClientPermit) -> RequestBuilder {
        let request = client.request(self.method.clone(), self.url.clone());
        let request = match self.trace {
            Some(trace) => request.header(TRACEPARENT, trace.to_string()),
            None => request,
        };
        request.body(self.body.clone())
    }
}

/// Sends requests to one provider.
pub(in crate::provider) struct JsonClient {
    clients: Clients,
    limits: HttpLimits,
    reply_budgets: ReplyBudgets,
    /// The host and port of the proxy that forwards the requests. `None` also for a proxy that tunnels TLS.
    forwarding_proxy: Option<String>,
}

/// An answer with any status.
#[derive(Debug)]
pub(in crate::provider) struct Received {
    /// The status code.
    pub(in crate::provider) status: u16,
    /// The path of the request's URL.
    pub(in crate::provider) path: String,
    /// The delay before a retry that the headers ask for, in milliseconds.
    pub(in crate::provider) retry_after_ms: Option<u64>,
    /// The limits that the headers report.
    pub(in crate::provider) limits: Option<Box<ReportedLimits>>,
    /// The address of a redirect, without its query, user name and password.
    pub(in crate::provider) location: Option<String>,
    /// The body. Complete for a status of 200 to 299. Otherwise its first bytes, or nothing if it is compressed.
    pub(in crate::provider) body: Vec<u8>,
    /// The memory of the body and of the answer that is read from it.
    pub(in crate::provider) memory: ReplyMemory,
}

impl Received {
    /// An answer with a status and a body.
    #[cfg(test)]
    pub(in crate::provider) fn with_body(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            path: String::from("/v1/chat/completions"),
            retry_after_ms: None,
            limits: None,
            location: None,
            body: body.to_vec(),
            memory: ReplyMemory::default(),
        }
    }

    /// Whether the status is a success (200 to 299).
    pub(in crate::provider) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl JsonClient {
    /// A client without connections yet. `headers` go with every request.
    ///
    /// # Errors
    /// [`ClientError`]: TLS or the proxy cannot be set up.
    pub(in crate::provider) fn new(
        settings: &HttpSettings,
        endpoint: &Endpoint,
        mut headers: HeaderMap,
    ) -> Result<Self, ClientError> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        const AGENT: &str = concat!("forebay/", env!("CARGO_PKG_VERSION"));
        headers.entry(ACCEPT).or_insert(JSON);
        headers.entry(CONTENT_TYPE).or_insert(JSON);
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, coding::IDENTITY);
        let limits = settings.limits;
        let builder = ClientBuilder::new(settings, endpoint, headers)?;
        Ok(Self {
            forwarding_proxy: builder.forwarding_proxy().map(str::to_owned),
            clients: Clients::new(builder)?,
            limits,
            reply_budgets: settings.reply_budgets.clone(),
        })
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// [`Failure`] when no complete, readable answer arrived: `connection_failed`, `provider_timeout`,
    /// `response_too_large`, `invalid_response` for a compressed answer, or `invalid_request` for a URL that is too long.
    pub(in crate::provider) async fn request(
        &self,
        request: &OutgoingRequest<'_>,
        timeout: Duration,
    ) -> Result<Received, Failure> {
        // A call may send several requests. The first byte of the last answer counts.
        first_byte::clear();
        let first_byte_ms = self.limits.first_byte_ms;
        let started = Instant::now();
        let deadline = started + timeout;
        let first_byte = started + Duration::from_millis(first_byte_ms);
        // The permit is kept until the answer is read, because it counts the call as in flight.
        let client = self
            .clients
            .acquire()
            .map_err(|error| transport::not_connected(&error))?;
        let send = self.send(&client, request, started);
        let response = match timeout_at(first_byte.min(deadline), send).await {
            Ok(response) => response?,
            Err(_) if first_byte < deadline => {
                return Err(transport::no_headers_within(first_byte_ms));
            }
            Err(_) => return Err(transport::not_done_within(timeout)),
        };
        first_byte::record();
        let received = self.read(response, deadline).await?;
        received.ok_or_else(|| transport::not_done_within(timeout))
    }

    /// Sends the request and waits for the headers of the answer.
    ///
    /// A call may wait for a connection that another call opens. If the other call was cancelled, this call sends its request
    /// again. If the other call could not connect, this call returns the same failure.
    async fn send(
        &self,
        client: &ClientPermit,
        request: &OutgoingRequest<'_>,
        started: Instant,
    ) -> Result<Response, Failure> {
        let mut sends = 0;
        loop {
            sends += 1;
            let error = match request.build(client).send().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if transport::is_shared_connect_lost(&error) {
                if let Some(failure) = client.connect_failure_since(started) {
                    return Err(failure);
                }
                if sends < SENDS_MAX {
                    continue;
                }
            }
            let failure = transport::not_answered(&error, self.limits.connect_ms);
            if error.is_connect() {
                client.set_connect_failure(failure.clone());
            }
            return Err(failure);
        }
    }

    /// Reads an answer whose headers have arrived. `None` if the deadline has passed.
    async fn read(
        &self,
        mut response: Response,
        deadline: Instant,
    ) -> Result<Option<Received>, Failure> {
        let status = response.status();
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = &self.forwarding_proxy
        {
            return Err(transport::proxy_refused(proxy));
        }
        let path = response.url().path().to_owned();
        let now = retry_after::answered_at(response.headers(), SystemTime::now());
        let retry_after_ms = retry_after::read(response.headers(), now);
        let limits = rate_limit_headers::read(response.headers(), now);
        let location = redirect::location(&response);
        let coding = coding::of(response.headers());
        let mut memory = ReplyMemory::default();
        let body = if status.is_success() {
            if let Some(coding) = coding {
                return Err(transport::encoded(coding));
            }
            match timeout_at(deadline, self.read_to_end(&mut response)).await {
                Ok(read) => {
                    let body;
                    (body, memory) = read?;
                    body
                }
                Err(_) => return Ok(None),
            }
        } else if coding.is_some() {
            Vec::new()
        } else {
            let prefix_deadline = Instant::now() + Duration::from_millis(ERROR_BODY_MS);
            read_prefix(&mut response, prefix_deadline.min(deadline)).await
        };
        Ok(Some(Received {
            status: status.as_u16(),
            path,
            retry_after_ms,
            limits,
            location,
            body,
            memory,
        }))
    }

    /// Reads the whole body. While there is no memory for it, the rest stays at the server.
    async fn read_to_end(
        &self,
        response: &mut Response,
    ) -> Result<(Vec<u8>, ReplyMemory), Failure> {
        let max = self.limits.response_bytes_max;
        let announced_bytes = response.content_length().unwrap_or(0);
        if announced_bytes > max as u64 {
            return Err(transport::too_large(max));
        }
        let announced = response.content_length();
        let mut reservation = Reservation::default();
        let capacity = usize::try_from(announced_bytes).unwrap_or(FIRST_BUFFER_BYTES);
        let mut body = Vec::with_capacity(capacity.min(FIRST_BUFFER_BYTES));
        while let Some(data) = response
            .chunk()
            .await
            .map_err(|error| transport::cut_off(&error))?
        {
            if body.len() + data.len() > max {
                return Err(transport::too_large(max));
            }
            let bytes = (body.len() + data.len()) as u64;
            let cover = reservation.cover(&self.reply_budgets, bytes, announced, max as u64);
            cover.await;
            body.extend_from_slice(&data);
        }
        let memory = reservation.keep(body.len() as u64);
        Ok((body, memory))
    }
}

/// Reads an error's body up to its byte limit and until the deadline. An error while reading is ignored, because the status
/// alone suffices to classify the failure.
async fn read_prefix(response: &mut Response, deadline: Instant) -> Vec<u8> {
    let mut prefix = Vec::new();
    while prefix.len() < ERROR_BODY_BYTES_MAX {
        let Ok(Ok(Some(data))) = timeout_at(deadline, response.chunk()).await else {
            break;
        };
        let left = ERROR_BODY_BYTES_MAX - prefix.len();
        prefix.extend_from_slice(&data[..data.len().min(left)]);
    }
    prefix
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use tokio::{
        net::{TcpListener, TcpSocket, TcpStream},
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// A client that uses HTTP/2 with prior knowledge, so that its calls share the connection that the first call opens.
    fn client(port: u16) -> (Arc<JsonClient>, Url) {
        let url = format!("http://127.0.0.1:{port}/v1");
        let endpoint = Endpoint::parse(&url).expect("the URL is valid");
        let settings = HttpSettings {
            http2_prior_knowledge: true,
            ..HttpSettings::default()
        };
        let client = JsonClient::new(&settings, &endpoint, HeaderMap::new());
        let url = url.parse().expect("the URL is valid");
        (Arc::new(client.expect("the client is built")), url)
    }

    fn call(client: &Arc<JsonClient>, url: &Url) -> JoinHandle<Result<Received, Failure>> {
        let (client, url) = (Arc::clone(client), url.clone());
        let request = async move {
            let request = OutgoingRequest {
                method: Method::POST,
                url: &url,
                body: Bytes::from_static(b"{}"),
                trace: None,
            };
            client.request(&request, TIMEOUT).await
        };
        tokio::spawn(request)
    }

    #[tokio::test]
    async fn calls_continue_when_the_call_that_opens_their_connection_is_cancelled() {
        let socket = TcpSocket::new_v4().expect("the socket is created");
        socket
            .bind("127.0.0.1:0".parse().expect("the address is valid"))
            .expect("the port opens");
        let listener = socket.listen(1).expect("the socket listens");
        let address = listener.local_addr().expect("the address is valid");
        // These connections fill the listener's backlog, so the next connect has to wait.
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            filling.push(stream);
        }
        let (client, url) = client(address.port());
        let connecting = call(&client, &url);
        tokio::task::yield_now().await;
        let mut waiting: Vec<_> = (0..3).map(|_| call(&client, &url)).collect();
        tokio::task::yield_now().await;
        connecting.abort();
        let first = waiting.first_mut().expect("the first call runs");
        let ended = timeout(Duration::from_millis(500), first).await;
        assert!(
            ended.is_err(),
            "the call failed because another call was cancelled: {ended:?}"
        );
        waiting.iter().for_each(JoinHandle::abort);
    }

    #[tokio::test]
    async fn all_calls_that_wait_for_one_connection_report_why_it_failed() {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the port opens");
        let port = listener.local_addr().expect("the address is valid").port();
        drop(listener);
        let (client, url) = client(port);
        let calls = (0..20).map(|_| call(&client, &url));
        for ended in join_all(calls).await {
            let failure = ended
                .expect("the task does not panic")
                .expect_err("nothing listens");
            assert!(
                failure.error.message.contains("refused"),
                "failure: {failure}"
            );
        }
    }
}
