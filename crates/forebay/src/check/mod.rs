//! `forebay check [MODEL]`: calls a model once. If the call fails, it prints what is wrong and what to change.

mod advice;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use forebay_shared::{
    job::Request,
    turn::{Role, Turn},
};
use forebay_worker::provider::{
    Answer, Call, Provider, ProviderRegistry, ProviderSummary, simulated,
};

/// The message that is sent to the model.
const INPUT: &str = "Reply with the word OK.";

/// The most characters of the reply that are shown.
const SHOWN_CHARS_MAX: usize = 100;

/// The timeout for reading the list of models, which is printed if the model does not exist.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `model`; without one, the model of jobs that name none. Prints what is called, and the reply.
///
/// # Errors
/// What is wrong, and what to do about it.
pub(crate) fn run(
    providers: &ProviderRegistry,
    model: Option<String>,
    timeout: Duration,
) -> anyhow::Result<()> {
    let model = match (model, providers.default_model()) {
        (Some(model), _) => model,
        (None, Some(simulated::NAME)) => bail!(
            "No provider is configured, so all replies are simulated. Set OPENAI_API_KEY, or OPENAI_BASE_URL for a \
             local server."
        ),
        (None, Some(model)) => model.to_owned(),
        (None, None) => {
            bail!("No model is named. Set FOREBAY_MODEL, or name one: forebay check MODEL")
        }
    };
    let summary = providers.summary_for(&model);
    print(&format!("model     {model}"));
    if let Some(summary) = summary {
        print(&format!("provider  {} at {}", summary.name, summary.url));
        print(&format!("key       {}", summary.key));
        if let Some(variable) = summary.proxy_variable {
            print(&format!("proxy     from {variable}"));
        }
    }
    let (provider, sent_model) = providers
        .resolve(&model)
        .map_err(|error| anyhow::anyhow!("{}: {}", error.code, error.message))?;
    let runtime =
        tokio::runtime::Runtime::new().context("the async runtime could not be started")?;
    runtime.block_on(call(provider.as_ref(), &sent_model, summary, timeout))
}

async fn call(
    provider: &dyn Provider,
    model: &str,
    summary: Option<&ProviderSummary>,
    timeout: Duration,
) -> anyhow::Result<()> {
    let turns = [Turn::text(Role::User, INPUT)];
    let call = Call {
        model,
        request: &Request::default(),
        turns: &turns,
        timeout,
        trace: None,
    };
    let began = Instant::now();
    let error = match provider.call(&call).await {
        Ok(answer) => {
            print(&format!(
                "reply     {} after {} ms",
                reply_start(&answer),
                began.elapsed().as_millis()
            ));
            print("The model answers.");
            return Ok(());
        }
        Err(failure) => failure.error,
    };
    let mut message = format!("{}: {}", error.code, error.message);
    if let Some(advice) = summary.and_then(|summary| advice::advice(&error, summary)) {
        message.push('\n');
        message.push_str(&advice);
    }
    if advice::is_about_the_model(&error)
        && let Ok(models) = provider.models(LIST_TIMEOUT).await
    {
        message.push_str("\nThe provider lists: ");
        message.push_str(&models.join(", "));
    }
    bail!(message)
}

/// Prints a line on standard output. The exit code shows the result too, so a line that cannot be written is dropped:
/// unlike `println!`, this function never panics.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The first characters of the reply, in quotes.
fn reply_start(answer: &Answer) -> String {
    let text = answer.text().unwrap_or_default();
    let mut start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}
