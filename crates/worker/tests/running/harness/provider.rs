//! A provider that gets each reply from the test.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use forebay_shared::{
    account::{AccountKey, ConfiguredLimits},
    job::{FinishReason, JobError, Usage},
    turn::{Content, Role, Turn},
};
use forebay_worker::{
    ProviderLookup,
    provider::{Answer, Call, CallAccounts, Failure, Provider, http},
};
use tokio::sync::{mpsc, oneshot};

use super::wait::wait_for;

/// A call that waits for its reply from the test.
pub(crate) struct PendingCall {
    pub(crate) model: String,
    pub(crate) turns: Vec<Turn>,
    pub(crate) timeout: Duration,
    result: oneshot::Sender<ScriptedResult>,
}

/// What the provider does with a call.
enum ScriptedResult {
    /// The provider returns this result.
    Return(Box<Result<Answer, Failure>>),
    /// The provider panics.
    Panic,
}

impl PendingCall {
    /// The text of the last turn.
    pub(crate) fn input(&self) -> String {
        text_of(self.turns.last().expect("a call has turns"))
    }

    /// The texts of all turns.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.turns.iter().map(text_of).collect()
    }

    /// Replies with a text.
    pub(crate) fn reply(self, text: &str) {
        self.answer(Turn::text(Role::Assistant, text), FinishReason::Stop);
    }

    /// Answers with a turn.
    pub(crate) fn answer(self, turn: Turn, finish_reason: FinishReason) {
        let usage = Usage {
            input_tokens: 7,
            output_tokens: 2,
            total_tokens: 9,
            ..Usage::default()
        };
        self.send(ScriptedResult::Return(Box::new(Ok(Answer {
            memory: http::ReplyMemory::default(),
            turn,
            reasoning: None,
            finish_reason,
            usage: Some(usage),
            model: None,
            limits: None,
        }))));
    }

    /// Fails the call.
    pub(crate) fn fail(self, failure: Failure) {
        self.send(ScriptedResult::Return(Box::new(Err(failure))));
    }

    /// Makes the provider panic.
    pub(crate) fn panic(self) {
        self.send(ScriptedResult::Panic);
    }

    fn send(self, result: ScriptedResult) {
        assert!(self.result.send(result).is_ok(), "the call was dropped");
    }

    /// Waits until the worker has dropped the call.
    pub(crate) async fn wait_until_dropped(&mut self) {
        wait_for("the call is dropped", self.result.closed()).await;
    }
}

pub(super) fn text_of(turn: &Turn) -> String {
    turn.content
        .as_ref()
        .map(Content::to_text)
        .unwrap_or_default()
}

/// A provider that sends each call to the test.
pub(super) struct ScriptedProvider(pub(super) mpsc::UnboundedSender<PendingCall>);

#[async_trait]
impl Provider for ScriptedProvider {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let (result, receiver) = oneshot::channel();
        let pending = PendingCall {
            model: call.model.to_owned(),
            turns: call.turns.to_vec(),
            timeout: call.timeout,
            result,
        };
        self.0.send(pending).expect("the test receives calls");
        match receiver.await {
            Ok(ScriptedResult::Return(result)) => *result,
            Ok(ScriptedResult::Panic) => panic!("on purpose"),
            // The test dropped the call, so there is never a reply.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The scripted provider for all models except `keyless/…`. The models `NAME/…` have accounts of the provider `NAME`, all
/// others have accounts of `scripted`.
pub(super) struct ScriptedProviders {
    pub(super) provider: Arc<ScriptedProvider>,
    pub(super) limits: BTreeMap<AccountKey, ConfiguredLimits>,
}

impl ProviderLookup for ScriptedProviders {
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        match model.strip_prefix("keyless/") {
            Some(_) => Err(JobError::new("provider_not_configured", "no key")),
            None => Ok((
                Arc::clone(&self.provider) as Arc<dyn Provider>,
                model.to_owned(),
            )),
        }
    }

    fn has_provider(&self, _name: &str) -> bool {
        true
    }

    fn accounts_of(&self, model: &str) -> Option<CallAccounts> {
        let (provider, model) = model.split_once('/').unwrap_or(("scripted", model));
        (provider != "keyless").then(|| CallAccounts {
            provider: AccountKey::of_provider(provider),
            model: Some(AccountKey::of_model(provider, model)),
        })
    }

    fn limits(&self) -> &BTreeMap<AccountKey, ConfiguredLimits> {
        &self.limits
    }
}
