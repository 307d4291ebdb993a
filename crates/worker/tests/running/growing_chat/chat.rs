//! The client of one chat: user messages, and the results of the tools that the model calls.

use forebay_shared::{
    job::{Reply, Status},
    turn::{Role, Turn},
};
use serde_json::json;

use super::{server::ServerKind, tokens};
use crate::harness::{Fleet, Submit};

/// A chat with one model in one session.
pub(super) struct Chat<'a> {
    fleet: &'a Fleet,
    kind: ServerKind,
    session: String,
}

impl<'a> Chat<'a> {
    pub(super) fn new(fleet: &'a Fleet, kind: ServerKind) -> Self {
        Self {
            fleet,
            kind,
            session: kind.model(),
        }
    }

    /// Another chat with the same model.
    pub(super) fn second_session(fleet: &'a Fleet, kind: ServerKind) -> Self {
        Self {
            session: format!("{}-2", kind.model()),
            ..Self::new(fleet, kind)
        }
    }

    /// Runs this many rounds. A round is a user message, and then tool results for as long as the model calls tools. Panics
    /// if a job fails.
    pub(super) async fn run(self, rounds: usize) {
        for round in 0..rounds {
            let text = format!("round {round}: {}", tokens::prose(15 + round * 13 % 40));
            let mut reply = self.ask(round, vec![Turn::text(Role::User, text)]).await;
            while !reply.tool_calls.is_empty() {
                let results = reply
                    .tool_calls
                    .iter()
                    .enumerate()
                    .map(|(index, call)| Turn {
                        tool_call_id: Some(call.id.clone()),
                        ..Turn::text(
                            Role::Tool,
                            tokens::numbers(10 + round * 7 % 30, round + index),
                        )
                    });
                reply = self.ask(round, results.collect()).await;
            }
        }
    }

    async fn ask(&self, round: usize, input: Vec<Turn>) -> Reply {
        let mut submit = Submit::turns(input).session(&self.session);
        submit.model = self.kind.model();
        submit.request.instructions = Some(format!("Answer briefly. {}", tokens::prose(30)));
        submit.request.max_output_tokens = self.kind.max_output_tokens;
        let tool = json!({"type": "function", "function": {
            "name": "tide_table",
            "description": "The tides of a harbour.",
            "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}},
        }});
        submit.request.tools = vec![serde_json::from_value(tool).expect("a tool")];
        let job = self.fleet.submit(submit).await;
        let outcome = self.fleet.outcome(job).await;
        assert_eq!(
            outcome.status,
            Status::Completed,
            "{:?}, round {round}: {:?}",
            self.kind,
            outcome.error
        );
        assert_eq!(outcome.attempts.len(), 1, "{:?}, round {round}", self.kind);
        outcome.reply.expect("a reply")
    }
}
