//! A provider that calls no model, for trials, examples and measurements. The same request with the same turns always
//! gets the same reply, after the configured latency.
//!
//! The reply contains the number of user turns that were sent, and quotes the last two (after tool results, only the one before
//! the last). So it shows whether the context of a session was sent.

mod latency;

use std::time::Duration;

use async_trait::async_trait;
use forebay_shared::{
    job::{FinishReason, ResponseFormat, ToolChoice, ToolChoiceMode, Usage},
    turn::{Content, Role, Turn},
};

pub use latency::{Latency, LatencyError};

use super::{Answer, Call, Failure, Provider, Retry};
use crate::context;

/// The name of the provider, in a job's `model` and `provider`.
pub const NAME: &str = "simulated";

/// The most characters of a turn that the reply quotes.
const QUOTED_CHARS_MAX: usize = 60;

/// A provider that calls no model.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    latency: Latency,
}

impl Simulated {
    /// A provider with this latency.
    #[must_use]
    pub const fn new(latency: Latency) -> Self {
        Self { latency }
    }
}

#[async_trait]
impl Provider for Simulated {
    fn name(&self) -> &str {
        NAME
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let answer = answer(call)?;
        let latency = Duration::from_millis(self.latency.draw_ms());
        if latency > call.timeout {
            tokio::time::sleep(call.timeout).await;
            return Err(Failure::new(
                "provider_timeout",
                format!(
                    "the provider did not answer within {} ms",
                    call.timeout.as_millis()
                ),
                Retry::Backoff,
            ));
        }
        tokio::time::sleep(latency).await;
        Ok(answer)
    }
}

/// The answer, which depends only on the request and the turns.
fn answer(call: &Call<'_>) -> Result<Answer, Failure> {
    let request = call.request;
    let must_call_tool = matches!(
        &request.tool_choice,
        Some(ToolChoice::Mode(ToolChoiceMode::Required) | ToolChoice::Function { .. })
    );
    if must_call_tool {
        return Err(unsupported("call tools"));
    }
    let text = match &request.response_format {
        Some(ResponseFormat::JsonSchema { .. }) => return Err(unsupported("follow a JSON schema")),
        Some(ResponseFormat::Unknown(_)) => {
            return Err(unsupported("answer in an unknown response_format"));
        }
        Some(ResponseFormat::JsonObject { .. }) => {
            serde_json::json!({"reply": reply_text(call.turns)}).to_string()
        }
        Some(ResponseFormat::Text { .. }) | None => reply_text(call.turns),
    };
    let input_tokens = context::sent_bytes(call.turns).div_ceil(4);
    let output_tokens = (text.len() as u64).div_ceil(4);
    Ok(Answer {
        memory: super::http::ReplyMemory::default(),
        turn: Turn::text(Role::Assistant, text),
        reasoning: None,
        finish_reason: FinishReason::Stop,
        usage: Some(Usage {
            input_tokens,
            output_tokens,
            total_tokens: input_tokens + output_tokens,
            ..Usage::default()
        }),
        model: None,
        limits: None,
    })
}

/// A text such as `Simulated reply 2: you said "And then?", and before that "Hello".`
fn reply_text(turns: &[Turn]) -> String {
    let mut quotes = turns
        .iter()
        .filter(|turn| turn.role == Role::User)
        .rev()
        .map(quote);
    let (last, previous) = (quotes.next(), quotes.next());
    let user_turns = turns.iter().filter(|turn| turn.role == Role::User).count();
    let results_count = turns
        .iter()
        .rev()
        .take_while(|turn| turn.role == Role::Tool)
        .count();
    let mut text = format!("Simulated reply {user_turns}: you ");
    match (results_count, last) {
        (0, None) => text.push_str("said nothing"),
        (0, Some(last)) => text.push_str(&format!("said {last}")),
        (1, _) => text.push_str("sent a tool's result"),
        (count, _) => text.push_str(&format!("sent {count} results of tools")),
    }
    if let Some(previous) = previous {
        text.push_str(&format!(", and before that {previous}"));
    }
    text.push('.');
    text
}

fn quote(turn: &Turn) -> String {
    let text = turn
        .content
        .as_ref()
        .map_or_else(String::new, Content::to_text);
    let mut short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{short}\"")
}

fn unsupported(ability: &str) -> Failure {
    Failure::new(
        "unsupported_parameter",
        format!("the simulated provider cannot {ability}"),
        Retry::Never,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_shared::{
        job::{Request, ResponseFormat, ToolChoice, ToolChoiceMode},
        turn::{Role, Turn},
    };

    use super::{Latency, Simulated, reply_text};
    use crate::provider::{Call, Provider, Retry};

    #[test]
    fn the_reply_shows_which_turns_were_sent() {
        let user = |text: &str| Turn::text(Role::User, text);
        let model = Turn::text(Role::Assistant, "x");
        let tool = Turn::text(Role::Tool, "1");
        let long = "é".repeat(100);
        for (turns, expected) in [
            (
                vec![user("Hello")],
                "Simulated reply 1: you said \"Hello\".".to_owned(),
            ),
            (
                vec![user("Hello"), model.clone(), user("And then?")],
                "Simulated reply 2: you said \"And then?\", and before that \"Hello\".".to_owned(),
            ),
            (
                vec![user("a"), model, tool],
                "Simulated reply 1: you sent a tool's result.".to_owned(),
            ),
            (
                vec![user(&long)],
                format!("Simulated reply 1: you said \"{}…\".", "é".repeat(60)),
            ),
        ] {
            assert_eq!(reply_text(&turns), expected);
        }
    }

    #[tokio::test]
    async fn the_same_turns_have_the_same_reply_and_tokens() {
        let request = Request::default();
        let turns = [Turn::text(Role::User, "Hello")];
        let call = Call {
            model: "simulated",
            request: &request,
            turns: &turns,
            timeout: Duration::from_secs(1),
            trace: None,
        };
        let provider = Simulated::new(Latency::fixed_ms(0));
        let first = provider.call(&call).await.expect("the provider answers");
        let second = provider.call(&call).await.expect("the provider answers");
        assert_eq!(first, second);
        let usage = first.usage.expect("the reply has a usage");
        assert!(usage.input_tokens > 0 && usage.output_tokens > 0);
        assert_eq!(usage.total_tokens, usage.input_tokens + usage.output_tokens);
    }

    #[tokio::test]
    async fn a_call_ends_at_its_timeout() {
        let request = Request::default();
        let call = Call {
            model: "simulated",
            request: &request,
            turns: &[],
            timeout: Duration::from_millis(10),
            trace: None,
        };
        let failure = Simulated::new(Latency::fixed_ms(600_000))
            .call(&call)
            .await
            .expect_err("the timeout is shorter than the latency");
        assert_eq!(failure.error.code, "provider_timeout");
        assert_eq!(failure.retry, Retry::Backoff);
    }

    #[tokio::test]
    async fn unsupported_parameters_are_refused() {
        let provider = Simulated::new(Latency::fixed_ms(0));
        let requests = [
            Request {
                tool_choice: Some(ToolChoice::Mode(ToolChoiceMode::Required)),
                ..Request::default()
            },
            Request {
                response_format: serde_json::from_value(serde_json::json!(
                    {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
                ))
                .ok(),
                ..Request::default()
            },
        ];
        for request in &requests {
            let call = Call {
                model: "simulated",
                request,
                turns: &[],
                timeout: Duration::from_secs(1),
                trace: None,
            };
            let failure = provider.call(&call).await.expect_err("the job is refused");
            assert_eq!(failure.error.code, "unsupported_parameter");
        }
        assert!(!matches!(
            requests[1].response_format,
            None | Some(ResponseFormat::Text { .. })
        ));
    }
}
