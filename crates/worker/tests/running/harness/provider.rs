//! A provider that asks the test for each reply.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, JobError, Usage},
    turn::{Content, Role, Turn},
};
use forebay_worker::{
    Providers,
    provider::{Answer, Call, Failure, Provider},
};
use tokio::sync::{mpsc, oneshot};

use super::soon;

/// A call that waits for the test.
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) turns: Vec<Turn>,
    pub(crate) timeout: Duration,
    reply: oneshot::Sender<Reply>,
}

enum Reply {
    Result(Box<Result<Answer, Failure>>),
    Panic,
}

impl Asked {
    /// The last thing said.
    pub(crate) fn input(&self) -> String {
        text_of(self.turns.last().expect("a call has turns"))
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.turns.iter().map(text_of).collect()
    }

    /// Answers with a text.
    pub(crate) fn say(self, text: &str) {
        self.answer(Turn::text(Role::Assistant, text), FinishReason::Stop);
    }

    pub(crate) fn answer(self, turn: Turn, finish_reason: FinishReason) {
        let usage = Usage {
            input_tokens: 7,
            output_tokens: 2,
            total_tokens: 9,
            unknown: UnknownFields::NONE,
        };
        self.reply(Reply::Result(Box::new(Ok(Answer {
            turn,
            finish_reason,
            usage: Some(usage),
        }))));
    }

    pub(crate) fn fail(self, failure: Failure) {
        self.reply(Reply::Result(Box::new(Err(failure))));
    }

    pub(crate) fn panic(self) {
        self.reply(Reply::Panic);
    }

    fn reply(self, reply: Reply) {
        assert!(self.reply.send(reply).is_ok(), "the call was dropped");
    }

    /// Waits until the worker has dropped the call.
    pub(crate) async fn dropped(&mut self) {
        soon("the call is dropped", self.reply.closed()).await;
    }
}

pub(super) fn text_of(turn: &Turn) -> String {
    turn.content
        .as_ref()
        .map(Content::to_text)
        .unwrap_or_default()
}

/// Passes each call on to the test.
pub(super) struct Scripted(pub(super) mpsc::UnboundedSender<Asked>);

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let (reply, receiver) = oneshot::channel();
        let asked = Asked {
            model: call.model.to_owned(),
            turns: call.turns.to_vec(),
            timeout: call.timeout,
            reply,
        };
        self.0.send(asked).expect("the test takes calls");
        match receiver.await {
            Ok(Reply::Result(result)) => *result,
            Ok(Reply::Panic) => panic!("on purpose"),
            // The test forgot it: it never answers.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The scripted provider for all models but `keyless/…`.
pub(super) struct OnlyScripted(pub(super) Arc<Scripted>);

impl Providers for OnlyScripted {
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        match model.strip_prefix("keyless/") {
            Some(_) => Err(JobError::new("provider_not_configured", "no key")),
            None => Ok((Arc::clone(&self.0) as Arc<dyn Provider>, model.to_owned())),
        }
    }
}
