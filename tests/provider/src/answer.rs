//! Answers one request to the scripted LLM: records and checks the request, applies the rate limits, waits at its barriers,
//! and sends its reply or fault.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    gemini,
    http_server::{Exchange, HttpRequest, Reason, Response},
    openai,
    reply::{ProviderError, ScriptedReply},
    request::{ChatRequest, Dialect},
    request_log::{InFlight, RequestOutcome},
    state::State,
};

/// How long the refusal of a call beyond a limit takes. Real services refuse a call much faster than they reply.
const REFUSAL_LATENCY: Duration = Duration::from_millis(20);

/// What is sent to the client.
enum Delivery {
    /// The whole response.
    Complete(Response),
    /// Half of the response, then the end of the connection or stream.
    CutOff(Response),
    /// Half of the response, then nothing.
    StallInBody(Response),
    /// A response whose body goes on until the client disconnects.
    Endless { chunk_bytes: usize, pause: Duration },
    /// A reset of the connection or stream.
    Reset,
    /// Nothing.
    Stall,
}

/// Answers one request with the reply that the script has for it.
pub(super) async fn answer(mut exchange: Exchange, state: Arc<State>) {
    let Some(request) = parse(&exchange.request) else {
        let path = path_of(&exchange.request);
        state
            .log
            .record_unexpected(format!("{} {path}", exchange.request.method));
        let error = json!({ "error": { "message": "the scripted server does not serve this path", "code": 404 } });
        exchange.answer(&json_response(404, &error)).await;
        return;
    };
    let Some((request, in_flight)) = state.log.record_arrival(request) else {
        let error =
            json!({ "error": { "message": "the scripted server can record no more requests" } });
        exchange.answer(&json_response(500, &error)).await;
        return;
    };
    if let Err(error) = check(&request, &state) {
        in_flight.record_outcome(RequestOutcome::Refused(error.status, error.message.clone()));
        let response = error_response(request.dialect, &error);
        exchange.answer(&response).await;
        return;
    }
    let delivery = tokio::select! {
        delivery = decide(&request, &state) => delivery,
        () = exchange.wait_for_disconnect() => return,
    };
    deliver(exchange, delivery, in_flight).await;
}

fn path_of(request: &HttpRequest) -> &str {
    request.target.split('?').next().unwrap_or_default()
}

/// The request in its dialect; `None` if the scripted LLM does not serve its method and path.
fn parse(request: &HttpRequest) -> Option<ChatRequest> {
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (request.target.as_str(), None),
    };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let gemini_model = path
        .strip_prefix("/v1beta/models/")
        .and_then(|model| model.strip_suffix(":generateContent"));
    let (dialect, model) = match gemini_model {
        Some(model) => (Dialect::Gemini, model.to_owned()),
        None if path == "/v1/chat/completions" => {
            let model = body["model"].as_str().unwrap_or_default().to_owned();
            (Dialect::OpenAi, model)
        }
        None => return None,
    };
    (request.method == "POST").then(|| ChatRequest {
        // The log sets the number.
        number: 0,
        dialect,
        path: path.to_owned(),
        query,
        model,
        headers: request.headers.clone(),
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

/// Chooses what is sent. It takes the permit and the reply before it waits for anything, so that permits and queued replies are used
/// in the order of arrival.
async fn decide(request: &ChatRequest, state: &State) -> Delivery {
    let verdict = state.rate_limits.decide(&request.model);
    let is_accepted = verdict.as_ref().is_none_or(|verdict| verdict.is_accepted);
    let permit = state.capacity.enter();
    let mut delivery = if is_accepted && permit.is_some() {
        reply(request, state).await
    } else if is_accepted {
        tokio::time::sleep(REFUSAL_LATENCY).await;
        let error = ProviderError::new(503, "The server is overloaded.");
        Delivery::Complete(error_response(request.dialect, &error))
    } else {
        tokio::time::sleep(REFUSAL_LATENCY).await;
        let error = ProviderError::new(429, "Rate limit reached.");
        Delivery::Complete(error_response(request.dialect, &error))
    };
    if let (Some(verdict), Delivery::Complete(response)) = (verdict, &mut delivery) {
        response.headers.extend(verdict.headers);
    }
    delivery
}

/// Takes the reply from the script, and then waits at the barriers and for the latency.
async fn reply(request: &ChatRequest, state: &State) -> Delivery {
    let mut reply = state.script.reply_to(request);
    let barriers = state.script.barriers_for(request);
    let mut latency = state.next_latency();
    while let ScriptedReply::After(delay, inner) = reply {
        latency = delay;
        reply = *inner;
    }
    for barrier in barriers {
        barrier.pass().await;
    }
    tokio::time::sleep(latency).await;
    render(request, reply, state)
}

fn render(request: &ChatRequest, reply: ScriptedReply, state: &State) -> Delivery {
    let completion = |reply: &ScriptedReply| match request.dialect {
        Dialect::OpenAi => openai::completion(request, reply),
        Dialect::Gemini => gemini::content(request, reply, &state.signatures),
    };
    let valid_response = || {
        json_response(
            200,
            &completion(&ScriptedReply::TurnNumbers).unwrap_or_default(),
        )
    };
    if let Some(body) = completion(&reply) {
        return Delivery::Complete(json_response(200, &body));
    }
    match reply {
        ScriptedReply::Error(error) => Delivery::Complete(error_response(request.dialect, &error)),
        ScriptedReply::Json {
            status,
            headers,
            body,
        } => {
            let mut response = json_response(status, &body);
            response.headers.extend(headers);
            Delivery::Complete(response)
        }
        ScriptedReply::Status {
            code,
            headers,
            body,
        } => Delivery::Complete(Response {
            status: code,
            headers,
            body: body.into(),
        }),
        ScriptedReply::InvalidJson => Delivery::Complete(Response::json(
            200,
            Bytes::from_static(b"{\"choices\": [{\"message\": oops"),
        )),
        ScriptedReply::Reset => Delivery::Reset,
        ScriptedReply::StallInBody => Delivery::StallInBody(valid_response()),
        ScriptedReply::CutOff => Delivery::CutOff(valid_response()),
        ScriptedReply::Endless { chunk_bytes, pause } => Delivery::Endless {
            chunk_bytes: chunk_bytes.max(1),
            pause,
        },
        // This is `ScriptedReply::Stall`. Completions have returned above, and the function `reply` has replaced `After` by its reply.
        _ => Delivery::Stall,
    }
}

/// Sends the delivery and records the outcome. If the client disconnects first, the drop of `in_flight` records that.
async fn deliver(mut exchange: Exchange, delivery: Delivery, in_flight: InFlight) {
    match delivery {
        Delivery::Complete(response) => {
            // The client may act on the last byte at once, so the outcome is recorded first.
            in_flight.record_outcome(RequestOutcome::Answered(response.status));
            if !exchange.answer(&response).await {
                in_flight.record_outcome(RequestOutcome::ClientDisconnected);
            }
        }
        Delivery::CutOff(response) => {
            in_flight.record_outcome(RequestOutcome::ConnectionBrokenByScript);
            if exchange.begin(&response, response.body.len() / 2).await {
                exchange.cut_off().await;
            } else {
                in_flight.record_outcome(RequestOutcome::ClientDisconnected);
            }
        }
        Delivery::StallInBody(response) => {
            if exchange.begin(&response, response.body.len() / 2).await {
                exchange.wait_for_disconnect().await;
            }
        }
        Delivery::Endless { chunk_bytes, pause } => {
            let opening = "{\"choices\": [{\"message\": {\"content\": \"";
            let chunk = Bytes::from("a".repeat(chunk_bytes));
            let response = Response::json(200, opening);
            exchange.answer_endlessly(&response, chunk, pause).await;
        }
        Delivery::Reset => {
            in_flight.record_outcome(RequestOutcome::ConnectionBrokenByScript);
            exchange.reset(Reason::INTERNAL_ERROR);
        }
        Delivery::Stall => exchange.wait_for_disconnect().await,
    }
}

fn json_response(status: u16, body: &Value) -> Response {
    Response::json(status, body.to_string())
}

fn error_response(dialect: Dialect, error: &ProviderError) -> Response {
    let body = match dialect {
        Dialect::OpenAi => openai::error_body(error),
        Dialect::Gemini => gemini::error_body(error),
    };
    let response = json_response(error.status, &body);
    match error.retry_after_s {
        Some(seconds) => response.with_header("retry-after", &seconds.to_string()),
        None => response,
    }
}
