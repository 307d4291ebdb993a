//! One connection's life: read a request, record it, decide the answer, deliver it or break it.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{
    gemini,
    log::Ending,
    openai,
    reply::{ProviderError, Reply},
    request::{ChatRequest, Dialect},
    server::State,
    wire::{self, RawRequest, Wire},
};

/// What is to be put on the wire for one request.
enum Delivery {
    /// A whole response.
    Whole(Response),
    /// Half of one, and then?
    Half(Response, AfterHalf),
    /// An endless one.
    Endless(usize, Duration),
    Reset,
    Stall,
}

enum AfterHalf {
    Close,
    Stall,
}

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(stream: TcpStream, state: Arc<State>) {
    state.log.connected();
    let Ok(mut wire) = Wire::new(stream) else {
        return;
    };
    loop {
        let raw = match wire.read_request().await {
            Ok(Some(raw)) => raw,
            Ok(None) => return,
            Err(error) => {
                state.log.stray(format!("not HTTP/1.1: {error}"));
                return wire.close().await;
            }
        };
        let keep_alive = raw.keep_alive;
        let Some(request) = accept(&raw) else {
            let path = raw.target.split('?').next().unwrap_or_default();
            state.log.stray(format!("{} {path}", raw.method));
            let missing = json!({ "error": { "message": "not scripted", "code": 404 } });
            if write_whole(&mut wire, &Response::json(404, Vec::new(), &missing)).await {
                continue;
            }
            return;
        };
        let Some(request) = state.log.arrived(request) else {
            let full = json!({ "error": { "message": "the scripted server's record is full" } });
            write_whole(&mut wire, &Response::json(500, Vec::new(), &full)).await;
            return wire.close().await;
        };
        if let Err(error) = check(&request, &state) {
            let ending = Ending::Refused(error.status, error.message.clone());
            state.log.ended(request.n, ending);
            if write_whole(&mut wire, &error_response(request.dialect, &error)).await {
                continue;
            }
            return;
        }
        let delivery = tokio::select! {
            delivery = decide(&request, &state) => delivery,
            () = wire.hung_up() => {
                state.log.ended(request.n, Ending::HungUp);
                return;
            }
        };
        match deliver(wire, delivery, request.n, &state).await {
            Some(open) if keep_alive => wire = open,
            Some(open) => return open.close().await,
            None => return,
        }
    }
}

/// The request in its dialect; `None` if it is for nothing that the server has.
fn accept(raw: &RawRequest) -> Option<ChatRequest> {
    let (path, query) = match raw.target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (raw.target.as_str(), None),
    };
    let body: Value = serde_json::from_slice(&raw.body).unwrap_or_default();
    let gemini_model = path
        .strip_prefix("/v1beta/models/")
        .and_then(|rest| rest.strip_suffix(":generateContent"));
    let (dialect, model) = match gemini_model {
        Some(model) => (Dialect::Gemini, model.to_owned()),
        None if path == "/v1/chat/completions" => {
            let model = body["model"].as_str().unwrap_or_default().to_owned();
            (Dialect::OpenAi, model)
        }
        None => return None,
    };
    (raw.method == "POST").then(|| ChatRequest {
        n: 0,
        dialect,
        path: path.to_owned(),
        query,
        model,
        headers: HeaderMap::clone(&raw.headers),
        body,
        arrived_at: std::time::Instant::now(),
    })
}

fn check(request: &ChatRequest, state: &State) -> Result<(), ProviderError> {
    match request.dialect {
        Dialect::OpenAi => openai::check(&request.body),
        Dialect::Gemini => {
            gemini::check_key(request.query.as_deref(), request.key())?;
            gemini::check(&request.body, &state.signatures)
        }
    }
}

/// Takes the reply from the script at once, so that queues are used up in the order of arrival, then
/// waits at the gates and for the latency.
async fn decide(request: &ChatRequest, state: &State) -> Delivery {
    let mut reply = state.script.reply_to(request);
    let bars = state.script.bars_for(request);
    let mut latency = state.next_latency();
    while let Reply::After(delay, inner) = reply {
        latency = delay;
        reply = *inner;
    }
    for bar in bars {
        bar.pass().await;
    }
    tokio::time::sleep(latency).await;
    render(request, reply, state)
}

fn render(request: &ChatRequest, reply: Reply, state: &State) -> Delivery {
    let completion = |reply: &Reply| match request.dialect {
        Dialect::OpenAi => openai::completion(request, reply),
        Dialect::Gemini => gemini::content(request, reply, &state.signatures),
    };
    let good = || {
        let body = completion(&Reply::Seen).unwrap_or_default();
        Response::json(200, Vec::new(), &body)
    };
    if let Some(body) = completion(&reply) {
        return Delivery::Whole(Response::json(200, Vec::new(), &body));
    }
    match reply {
        Reply::Error(error) => Delivery::Whole(error_response(request.dialect, &error)),
        Reply::Json {
            status,
            headers,
            body,
        } => Delivery::Whole(Response::json(status, headers, &body)),
        Reply::Status {
            code,
            headers,
            body,
        } => Delivery::Whole(Response {
            status: code,
            headers,
            body: body.into_bytes(),
        }),
        Reply::InvalidJson => Delivery::Whole(Response {
            body: b"{\"choices\": [{\"message\": oops".to_vec(),
            ..good()
        }),
        Reply::Reset => Delivery::Reset,
        Reply::StallInBody => Delivery::Half(good(), AfterHalf::Stall),
        Reply::CutOff => Delivery::Half(good(), AfterHalf::Close),
        Reply::Endless { chunk_bytes, pause } => Delivery::Endless(chunk_bytes.max(1), pause),
        // What is left are the completions, which returned above.
        _ => Delivery::Stall,
    }
}

/// Does it. Returns the connection if another request may follow on it.
async fn deliver(mut wire: Wire, delivery: Delivery, n: usize, state: &State) -> Option<Wire> {
    match delivery {
        Delivery::Whole(response) => {
            state.log.ended(n, Ending::Answered(response.status));
            if write_whole(&mut wire, &response).await {
                return Some(wire);
            }
        }
        Delivery::Half(response, then) => {
            let length = format!("content-length: {}", response.body.len());
            let mut bytes = wire::head(response.status, &response.headers, &length);
            bytes.extend_from_slice(&response.body[..response.body.len() / 2]);
            if matches!(then, AfterHalf::Close) {
                state.log.ended(n, Ending::Broken);
                if wire.write(&bytes).await.is_ok() {
                    wire.close().await;
                    return None;
                }
            } else if wire.write(&bytes).await.is_ok() {
                wire.hung_up().await;
            }
        }
        Delivery::Endless(chunk_bytes, pause) => {
            write_for_ever(&mut wire, chunk_bytes, pause).await;
        }
        Delivery::Reset => {
            state.log.ended(n, Ending::Broken);
            wire.reset();
            return None;
        }
        Delivery::Stall => wire.hung_up().await,
    }
    state.log.ended(n, Ending::HungUp);
    None
}

/// Writes until the client has gone.
async fn write_for_ever(wire: &mut Wire, chunk_bytes: usize, pause: Duration) {
    let headers = [json_type()];
    let mut bytes = wire::head(200, &headers, "transfer-encoding: chunked");
    let opening = "{\"choices\": [{\"message\": {\"content\": \"";
    bytes.extend(format!("{:x}\r\n{opening}\r\n", opening.len()).into_bytes());
    let chunk = format!("{chunk_bytes:x}\r\n{}\r\n", "a".repeat(chunk_bytes)).into_bytes();
    loop {
        if wire.write(&bytes).await.is_err() {
            return;
        }
        bytes.clone_from(&chunk);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wire.hung_up() => return,
        }
    }
}

/// Whether it was written, as far as the socket tells.
async fn write_whole(wire: &mut Wire, response: &Response) -> bool {
    let length = format!("content-length: {}", response.body.len());
    let mut bytes = wire::head(response.status, &response.headers, &length);
    bytes.extend_from_slice(&response.body);
    wire.write(&bytes).await.is_ok()
}

fn error_response(dialect: Dialect, error: &ProviderError) -> Response {
    let body = match dialect {
        Dialect::OpenAi => openai::error_body(error),
        Dialect::Gemini => gemini::error_body(error),
    };
    let retry_after = error.retry_after_s;
    let headers = retry_after.map(|s| ("retry-after".to_owned(), s.to_string()));
    Response::json(error.status, headers.into_iter().collect(), &body)
}

fn json_type() -> (String, String) {
    ("content-type".to_owned(), "application/json".to_owned())
}

impl Response {
    fn json(status: u16, mut headers: Vec<(String, String)>, body: &Value) -> Self {
        headers.push(json_type());
        Self {
            status,
            headers,
            body: body.to_string().into_bytes(),
        }
    }
}
