//! Chats of up to 60 rounds with tools, with servers whose context is shorter than the chats.
//!
//! - `chat` is the client of a chat.
//! - `server` refuses an input that does not fit, with the message and the status of a real service.
//! - `tokens` counts the tokens of a request.
//!
//! The server also refuses a tool result without its call, and a call without its result. Then a job of the chat fails.

mod chat;
mod server;
mod tokens;

use std::sync::Arc;

use forebay_shared::{
    account::AccountKey,
    job::{JobError, Status},
    turn::{Role, Turn},
};
use forebay_worker::{
    ProviderLookup,
    provider::{
        CallAccounts, Provider,
        http::{Endpoint, HttpSettings},
        openai::{OpenAi, OpenAiSettings},
    },
};
use scripted_provider::ScriptedLlm;

use self::{
    chat::Chat,
    server::{Server, ServerKind, Wording},
};
use crate::harness::{Fleet, Submit, settings};

/// The OpenAI-compatible provider for all models.
struct OneProvider(Arc<OpenAi>);

impl ProviderLookup for OneProvider {
    fn resolve(&self, model: &str) -> Result<(Arc<dyn Provider>, String), JobError> {
        Ok((Arc::clone(&self.0) as Arc<dyn Provider>, model.to_owned()))
    }

    fn has_provider(&self, name: &str) -> bool {
        name == "local"
    }

    fn accounts_of(&self, model: &str) -> Option<CallAccounts> {
        Some(CallAccounts {
            provider: AccountKey::of_provider("local"),
            model: Some(AccountKey::of_model("local", model)),
        })
    }
}

/// A worker, and the server that it calls.
struct Setup {
    fleet: Fleet,
    llm: ScriptedLlm,
    server: Server,
}

impl Setup {
    async fn start() -> Self {
        let llm = ScriptedLlm::start().await;
        let server = Server::default();
        let server_of_llm = server.clone();
        llm.add_rule(move |request| Some(server_of_llm.reply(request)));
        let provider = OpenAi::new(OpenAiSettings {
            name: String::from("local"),
            base_url: Endpoint::parse(&llm.openai_base_url()).expect("a URL"),
            key: None,
            max_tokens_field: None,
            headers: Vec::new(),
            http: HttpSettings::default(),
        });
        let providers = OneProvider(Arc::new(provider.expect("a provider")));
        Self {
            fleet: Fleet::with_providers(settings(64), Arc::new(providers)),
            llm,
            server,
        }
    }
}

#[tokio::test]
async fn chats_outgrow_the_contexts_of_their_models_without_a_failed_job() {
    let setup = Setup::start().await;
    let kinds = ServerKind::all();
    let chats = kinds.iter().map(|kind| {
        let chat = Chat::new(&setup.fleet, *kind);
        chat.run(60)
    });
    futures_util::future::join_all(chats).await;
    assert_eq!(setup.llm.refusals(), Vec::<String>::new());
    for kind in kinds {
        let calls = setup.server.calls(kind);
        // The limit is known after the first refused call. At most one more call may be refused.
        let refused = calls.iter().filter(|call| call.is_refused).count();
        assert!(
            (1..=2).contains(&refused),
            "{kind:?}: {refused} calls were refused"
        );
        // The context is used: after the first refusal, the longest accepted input has at least two fifths of the limit.
        let accepted = calls.iter().skip_while(|call| !call.is_refused);
        let accepted = accepted.filter(|call| !call.is_refused);
        let longest = accepted.map(|call| call.input_tokens).max().unwrap_or(0);
        assert!(
            longest * 5 >= kind.limit_tokens * 2,
            "{kind:?}: the longest input has {longest} tokens"
        );
    }
}

#[tokio::test]
async fn no_call_of_a_later_session_of_the_model_is_refused() {
    let setup = Setup::start().await;
    for kind in ServerKind::all() {
        if kind.limit_tokens != 1_024 {
            continue;
        }
        Chat::new(&setup.fleet, kind).run(15).await;
        let refused = setup.server.refused_calls(kind);
        assert!(refused >= 1, "{kind:?}: no call was refused");
        Chat::second_session(&setup.fleet, kind).run(15).await;
        assert_eq!(setup.server.refused_calls(kind), refused, "{kind:?}");
    }
}

#[tokio::test]
async fn the_error_of_a_message_that_is_too_long_names_the_limit() {
    let setup = Setup::start().await;
    for kind in ServerKind::all() {
        let mut submit = Submit::turns(vec![Turn::text(Role::User, tokens::prose(5_000))]);
        submit.model = kind.model();
        let job = setup.fleet.submit(submit).await;
        let outcome = setup.fleet.outcome(job).await;
        assert_eq!(outcome.status, Status::Failed, "{kind:?}");
        assert_eq!(outcome.attempts.len(), 1, "{kind:?}");
        let error = outcome.error.expect("an error");
        assert_eq!(error.code, "context_length_exceeded", "{kind:?}");
        for part in [
            "even the last message",
            "context.max_input_tokens",
            "the provider answered",
        ] {
            assert!(error.message.contains(part), "{kind:?}: {}", error.message);
        }
        if kind.wording == Wording::LlamaCpp && !kind.is_old {
            let limit = format!("context of {} tokens", kind.limit_tokens);
            assert!(
                error.message.contains(&limit),
                "{kind:?}: {}",
                error.message
            );
        }
        assert_eq!(setup.server.refused_calls(kind), 1, "{kind:?}");
    }
}
