//! Steps of the clock of a process with the embedded engine.

use e2e::{
    client::Client,
    fake_clock::FakeClock,
    process::{Builder, Forebay},
};
use scripted_provider::ScriptedLlm;

use crate::{DAY_S, HOUR_S, OFFSETS_S, RETRY_MS, restart::Interrupted, step};

fn builder(clock: &FakeClock, llm: &ScriptedLlm) -> Builder {
    let builder = Forebay::builder()
        .openai(llm)
        .env("FOREBAY_MODEL", "gpt-test")
        .env("FOREBAY_BACKOFF_MS", RETRY_MS);
    let env = clock.env().into_iter();
    env.fold(builder, |builder, (name, value)| builder.env(name, value))
}

#[tokio::test]
async fn a_step_of_the_clock_changes_only_the_times_that_are_shown() {
    let (clock, llm) = (FakeClock::new(), ScriptedLlm::start().await);
    let forebay = builder(&clock, &llm).start().await;
    let client = Client::new(forebay.url());
    step::make_idle_session(&client).await;
    for offset_s in OFFSETS_S {
        let name = format!("to{offset_s}");
        step::check(&client, &llm, &name, offset_s, || {
            clock.set_offset_s(offset_s);
        })
        .await;
    }
}

#[tokio::test]
async fn a_restart_with_an_earlier_clock_continues_all_jobs() {
    let (clock, llm) = (FakeClock::new(), ScriptedLlm::start().await);
    let data = tempfile::tempdir().expect("a temporary folder is made");
    let builder = builder(&clock, &llm).data_dir(data.path());
    let mut forebay = builder.start().await;
    let client = Client::new(forebay.url());
    for offset_s in [-HOUR_S, -3 * DAY_S] {
        let name = format!("to{offset_s}");
        let jobs = Interrupted::start(&client, &llm, &name).await;
        forebay.kill9().await;
        clock.set_offset_s(offset_s);
        forebay = builder.start().await;
        client.set_url(forebay.url());
        jobs.assert_completed(&client, offset_s).await;
    }
}
