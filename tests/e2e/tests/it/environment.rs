//! Environment variables: an empty one counts as unset, and warnings name misspelt ones and missing keys. Also SIGHUP, which stops
//! the process as SIGTERM does.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use e2e::process::{Forebay, binary_path, run_to_exit};
use scripted_provider::ScriptedLlm;

use crate::fixture::{Fixture, TIMEOUT};

/// The names of all settings, as `--help` shows them.
async fn settings() -> Vec<String> {
    let help = run_to_exit(&["--help"], &[], TIMEOUT).await.stdout;
    let names = help.split("[env: ").skip(1);
    let names: Vec<_> = names
        .filter_map(|text| text.split(['=', ']']).next())
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 20, "{names:?}");
    names
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let mut builder = Forebay::builder();
    let mut empty = settings().await;
    // These two need a value in a test.
    empty.retain(|name| !["FOREBAY_LISTEN", "FOREBAY_DATA_DIR"].contains(&name.as_str()));
    for name in &empty {
        builder = builder.env(name, "");
    }
    let mut forebay = builder.start().await;
    assert!(forebay.logs().contains("simulated"), "{}", forebay.logs());
    forebay.sigterm();
    assert_eq!(forebay.wait_exit(TIMEOUT).await.code(), Some(0));
    // The data folder of this process cannot be made, so the process ends and does not serve on the default port. It must not refuse
    // the empty FOREBAY_LISTEN.
    let builder = Forebay::builder()
        .env("FOREBAY_LISTEN", "")
        .env("FOREBAY_DATA_DIR", "/dev/null/x");
    let exited = builder.run_to_exit(TIMEOUT).await;
    assert!(!exited.stderr.contains("FOREBAY_LISTEN must"), "{exited:?}");
}

#[tokio::test]
async fn an_empty_key_env_counts_as_unset_and_is_warned_about_at_the_start() {
    let llm = ScriptedLlm::start().await;
    let file = tempfile::NamedTempFile::new().expect("a temporary file is made");
    let text = format!(
        "[providers.acme]\nbase_url = \"{}\"\nkey_env = \"FOREBAY_ACME_KEY\"\n",
        llm.openai_base_url()
    );
    std::fs::write(file.path(), text).expect("the file is written");
    let path = file.path().display().to_string();
    for key in [None, Some("")] {
        let mut env = vec![("FOREBAY_PROVIDERS_FILE", path.as_str())];
        env.extend(key.map(|key| ("FOREBAY_ACME_KEY", key)));
        let fixture = Fixture::with(&env).await;
        let log = fixture.forebay.logs();
        let warning = log
            .lines()
            .find(|text| text.contains("FOREBAY_ACME_KEY, the key_env"));
        let warning = warning.unwrap_or_else(|| panic!("no warning:\n{log}"));
        assert!(warning.contains("WARN"), "{warning}");
        assert!(warning.contains("provider=\"acme\""), "{warning}");
    }
    let fixture =
        Fixture::with(&[("FOREBAY_PROVIDERS_FILE", &path), ("FOREBAY_ACME_KEY", "k")]).await;
    let log = fixture.forebay.logs();
    assert!(!log.contains("is not set"), "{log}");
    assert!(!log.contains("is no setting"), "{log}");
}

#[tokio::test]
async fn a_warning_about_a_misspelt_variable_names_the_setting_that_is_meant() {
    let forebay = Forebay::builder()
        .env("FOREBAY_CONCURENCY", "do-not-show-me")
        .env("FOREBAY_TEST_SOMETHING", "x")
        .env("FOREBAY_EMPTY", "")
        .start()
        .await;
    let log = forebay.logs();
    let warnings: Vec<_> = log
        .lines()
        .filter(|text| text.contains("is no setting"))
        .collect();
    let [warning] = warnings[..] else {
        panic!("{} warnings:\n{log}", warnings.len());
    };
    assert!(warning.contains("FOREBAY_CONCURENCY"), "{warning}");
    assert!(warning.contains("FOREBAY_CONCURRENCY?"), "{warning}");
    assert!(!log.contains("do-not-show-me"), "{log}");
}

#[tokio::test]
async fn sighup_drains_the_process_unless_it_was_started_to_ignore_it() {
    let mut fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    fixture.forebay.sighup();
    fixture
        .forebay
        .wait_for_log("the worker stops", TIMEOUT)
        .await;
    gate.open();
    let status = fixture.forebay.wait_exit(TIMEOUT).await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(fixture.llm.recorded().len(), 1);
    fixture.restart().await;
    fixture.completed_text(&id).await;
    assert_eq!(fixture.llm.recorded().len(), 1);

    let binary = binary_path().await.expect("forebay is built");
    let builder = Forebay::builder()
        .program("nohup")
        .arg(binary.display().to_string());
    let mut ignoring = builder.start().await;
    ignoring.sighup();
    // A process that reacts to the signal would exit before it answers this request, because no job runs.
    let client = e2e::client::Client::new(ignoring.url());
    client.get("/healthz").await.expect(200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(ignoring.is_running());
    ignoring.sigterm();
    let status = ignoring.wait_exit(TIMEOUT).await;
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}
