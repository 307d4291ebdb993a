//! Makes the fixture again, with the program of an older release:
//!
//! ```sh
//! FOREBAY_FIXTURE_PROGRAM=/path/to/forebay cargo test -p e2e --test upgrade -- --ignored make
//! ```

use std::path::PathBuf;

use e2e::{
    client::Client,
    fleet::{Fleet, TIMEOUT},
    process::Forebay,
};
use scripted_provider::ScriptedLlm;

use crate::{fixture, rabbit_messages, redis_dump, scenario, sqlite_dump, times};

/// The text that a worker of c32b0d3 logs when it is ready.
const WORKER_READY: &str = "at work";

/// The path of the older program.
fn program() -> PathBuf {
    let path = std::env::var_os("FOREBAY_FIXTURE_PROGRAM");
    path.expect("FOREBAY_FIXTURE_PROGRAM is set to the path of a program")
        .into()
}

fn write(name: &str, content: &str) {
    std::fs::write(fixture::folder().join(name), content)
        .expect("the file of the fixture is written");
}

#[tokio::test]
#[ignore = "writes the files of the fixture; run it by name"]
async fn make_embedded() {
    let llm = ScriptedLlm::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let builder = Forebay::builder().program(program()).openai(&llm);
    let builder = builder.env("FOREBAY_MODEL", "gpt-test");
    let mut forebay = builder.data_dir(folder.path()).start().await;
    let client = Client::new(forebay.url());
    let (mut api_view, _gate) = scenario::create(&client, &llm).await;
    api_view["made_at"] = times::now_ms().into();
    forebay.kill9().await;
    write("embedded.json", &format!("{api_view:#}\n"));
    let path = folder.path().join(fixture::DATABASE);
    write("embedded.sql", &sqlite_dump::dump(&path));
}

#[tokio::test]
#[ignore = "writes the files of the fixture; run it by name"]
async fn make_fleet() {
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder()
        .program(program(), WORKER_READY)
        .openai(&llm);
    let mut fleet = fleet.gateways(1).workers(1).start().await;
    let (mut api_view, _gate) = scenario::create(&fleet.client, &llm).await;
    api_view["made_at"] = times::now_ms().into();
    fleet.gateways[0].kill9().await;
    fleet.workers[0].kill9().await;
    // When RabbitMQ detects that the worker's connection has ended, it requeues the worker's messages.
    let ready = async || fleet.has_ready_message(e2e::fleet::INTERACTIVE).await;
    assert!(
        e2e::fleet::poll_until(TIMEOUT, ready).await,
        "RabbitMQ did not requeue the messages of the killed worker"
    );
    write("fleet.json", &format!("{api_view:#}\n"));
    write("fleet.redis.jsonl", &redis_dump::dump(&fleet.redis).await);
    write(
        "fleet.rabbitmq.jsonl",
        &rabbit_messages::dump(&fleet.vhost).await,
    );
}
