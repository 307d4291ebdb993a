//! The start of a process. If a setting is invalid, the process ends with exit code 2 and a message that names the
//! setting, before it opens a port or a database.

use std::{net::TcpListener, time::Duration};

use e2e::process::{Exited, Forebay, run_to_exit};

/// How long a process may take to end. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Some of the variables that `--help` must show.
const VARIABLES: [&str; 25] = [
    "FOREBAY_LISTEN",
    "FOREBAY_API_KEYS_FILE",
    "FOREBAY_INSECURE_NO_AUTH",
    "FOREBAY_DATA_DIR",
    "FOREBAY_MODEL",
    "FOREBAY_CONCURRENCY",
    "FOREBAY_SIMULATED_LATENCY_MS",
    "FOREBAY_SESSION_TTL_S",
    "FOREBAY_SESSIONS_MAX",
    "FOREBAY_SESSION_TURNS_MAX",
    "FOREBAY_RESULT_TTL_S",
    "FOREBAY_BACKLOG_MAX",
    "FOREBAY_TRIES_MAX",
    "FOREBAY_CALL_TIMEOUT_S",
    "FOREBAY_DRAIN_S",
    "FOREBAY_PRESENCE_MS",
    "FOREBAY_BODY_BYTES_MAX",
    "AMQP_URL",
    "REDIS_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "GEMINI_API_KEY",
    "GEMINI_BASE_URL",
    "FOREBAY_PROVIDERS_FILE",
    "FOREBAY_CA_FILE",
];

/// Variables with invalid values.
const INVALID: [(&str, &[&str]); 28] = [
    (
        "FOREBAY_LISTEN",
        &["8080", "localhost:8080", "127.0.0.1:65536", "127.0.0.1"],
    ),
    ("FOREBAY_API_KEYS_FILE", &["/nowhere/keys", "/dev/null"]),
    ("FOREBAY_INSECURE_NO_AUTH", &["yes", "1", "TRUE"]),
    ("FOREBAY_MODEL", &["two words", "é"]),
    ("FOREBAY_CONCURRENCY", &["0", "-1", "many", "100001", "1.5"]),
    (
        "FOREBAY_SIMULATED_LATENCY_MS",
        &["x", "-5", "5000-2000", "1-2-3", "1.5"],
    ),
    ("FOREBAY_SESSION_TTL_S", &["0", "x", "31536001"]),
    ("FOREBAY_SESSIONS_MAX", &["0", "x", "-1"]),
    ("FOREBAY_SESSION_TURNS_MAX", &["1", "x", "10001"]),
    ("FOREBAY_RESULT_TTL_S", &["0", "x", "31536001"]),
    ("FOREBAY_BACKLOG_MAX", &["0", "x", "100000001"]),
    ("FOREBAY_TRIES_MAX", &["0", "x", "101"]),
    ("FOREBAY_CALL_TIMEOUT_S", &["0", "x", "1501"]),
    ("FOREBAY_CONNECT_TIMEOUT_MS", &["0", "x"]),
    ("FOREBAY_FIRST_BYTE_TIMEOUT_MS", &["0", "x"]),
    ("FOREBAY_RESPONSE_BYTES_MAX", &["0", "x"]),
    ("FOREBAY_BACKOFF_MS", &["0", "x"]),
    ("FOREBAY_DRAIN_S", &["-1", "x", "1501"]),
    ("FOREBAY_PRESENCE_MS", &["299", "x", "60001"]),
    (
        "FOREBAY_BODY_BYTES_MAX",
        &["1023", "x", "99999999999999999999"],
    ),
    ("FOREBAY_PROVIDERS_FILE", &["/nowhere/providers.toml"]),
    ("FOREBAY_LOG_FORMAT", &["xml"]),
    ("FOREBAY_CA_FILE", &["/nowhere/ca.pem", "/dev/null"]),
    (
        "FOREBAY_LOG",
        &["=,=,=", "verbose", "info,verbose", "worker=debug"],
    ),
    ("OPENAI_BASE_URL", &["x", "ftp://example.com", "http://"]),
    ("GEMINI_BASE_URL", &["x", "ftp://example.com", "http://"]),
    ("OPENAI_API_KEY", &["line\nbreak"]),
    ("GEMINI_API_KEY", &["line\nbreak"]),
];

/// Asserts that the process refused to start, with a message that contains `name`.
fn assert_refused(exited: &Exited, name: &str) {
    assert_eq!(exited.code, Some(2), "{name}: {exited:?}");
    assert!(
        exited.stderr.contains(name),
        "the message does not name {name}: {exited:?}"
    );
    assert_eq!(exited.stdout, "", "{name}");
    let listens = exited.stderr.contains("listening on");
    assert!(
        !listens,
        "the process listened despite the invalid {name}: {exited:?}"
    );
}

#[tokio::test]
async fn an_invalid_setting_is_named_before_a_port_or_a_database_is_opened() {
    // The port is in use and the folder does not exist, so the test notices if the process opens one of them.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken
        .local_addr()
        .expect("the listener has an address")
        .to_string();
    let parent = tempfile::tempdir().expect("a temporary folder is made");
    let folder = parent.path().join("data");
    for (name, values) in INVALID {
        for value in values {
            let builder = Forebay::builder()
                .env("FOREBAY_LISTEN", address.as_str())
                .data_dir(&folder)
                .env(name, *value);
            let exited = builder.run_to_exit(TIMEOUT).await;
            assert_refused(&exited, name);
            assert!(
                !exited.stderr.contains("cannot listen"),
                "the process opened its port despite the invalid {name}: {exited:?}"
            );
            assert!(
                !folder.exists(),
                "the process made its data folder despite the invalid {name}: {exited:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_reason_of_a_failed_start_has_the_format_of_the_log() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("the listener has an address");
    for format in ["text", "json"] {
        let builder = Forebay::builder()
            .env("FOREBAY_LISTEN", address.to_string())
            .env("FOREBAY_LOG_FORMAT", format);
        let exited = builder.run_to_exit(TIMEOUT).await;
        assert_refused(&exited, &address.to_string());
        let last = exited.stderr.lines().last().expect("there is a line");
        let is_json = serde_json::from_str::<serde_json::Value>(last).is_ok();
        assert_eq!(is_json, format == "json", "{last}");
    }
}

#[tokio::test]
async fn an_invalid_argument_is_named() {
    for args in [
        &["--concurrency", "0"][..],
        &["--no-such-flag"],
        &["no-such-command"],
        &["worker", "--tries-max", "x"],
    ] {
        let exited = run_to_exit(args, &[], TIMEOUT).await;
        // The message must name the last argument, or the flag before it if the last argument is a value of one character.
        let invalid = args.iter().rev().find(|arg| arg.len() > 1);
        assert_refused(&exited, invalid.expect("an argument is invalid"));
    }
}

#[tokio::test]
async fn a_role_of_a_fleet_needs_both_urls() {
    const AMQP: (&str, &str) = ("AMQP_URL", "amqp://127.0.0.1:9");
    const REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1:9");
    for (args, env, missing) in [
        (&["worker"][..], &[AMQP][..], &["REDIS_URL"][..]),
        (&["worker"], &[REDIS], &["AMQP_URL"]),
        (&["worker"], &[], &["AMQP_URL", "REDIS_URL"]),
        (&["gateway"], &[AMQP], &["REDIS_URL"]),
        (&["gateway"], &[REDIS], &["AMQP_URL"]),
        (&["gateway"], &[], &["AMQP_URL", "REDIS_URL"]),
        (&[], &[AMQP], &["REDIS_URL"]),
        (&[], &[REDIS], &["AMQP_URL"]),
    ] {
        let exited = run_to_exit(args, env, TIMEOUT).await;
        for name in missing {
            assert_refused(&exited, name);
        }
    }
}

#[tokio::test]
async fn an_invalid_server_url_is_named_and_its_password_is_not_shown() {
    // Nothing listens there. The process must end before it connects.
    const VALID: [(&str, &str); 2] = [
        ("AMQP_URL", "amqps://127.0.0.1:9"),
        ("REDIS_URL", "rediss://127.0.0.1:9"),
    ];
    const INVALID: [(&str, &[&str]); 4] = [
        (
            "AMQP_URL",
            &[
                "x",
                "127.0.0.1:5672",
                "amqp://",
                "http://user:do-not-show-me@127.0.0.1",
                "amqp://user:do-not-show-me@127.0.0.1:x",
            ],
        ),
        (
            "REDIS_URL",
            &[
                "x",
                "127.0.0.1:6379",
                "redis://",
                "http://user:do-not-show-me@127.0.0.1",
                "redis://user:do-not-show-me@127.0.0.1:x",
            ],
        ),
        ("AMQP_CA_FILE", &["/nowhere/ca.pem"]),
        ("REDIS_CA_FILE", &["/nowhere/ca.pem"]),
    ];
    for (name, values) in INVALID {
        for value in values {
            for role in ["gateway", "worker"] {
                let mut env = VALID.to_vec();
                env.retain(|(variable, _)| *variable != name);
                env.push((name, value));
                let exited = run_to_exit(&[role], &env, TIMEOUT).await;
                assert_refused(&exited, name);
                assert!(
                    !exited.stderr.contains("do-not-show-me"),
                    "the message shows the password: {exited:?}"
                );
                assert!(
                    !exited.stderr.contains("panicked"),
                    "the process panicked: {exited:?}"
                );
                assert!(
                    !exited.stderr.contains("worker started"),
                    "the worker started: {exited:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_second_process_with_the_same_data_folder_names_the_first_process() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let builder = Forebay::builder().data_dir(folder.path());
    let mut first = builder.start().await;
    let exited = builder.run_to_exit(TIMEOUT).await;
    assert_refused(&exited, &first.pid().to_string());
    assert_refused(&exited, "FOREBAY_DATA_DIR");
    assert!(first.is_running(), "the first process has ended");
    // A killed process leaves no lock that would prevent the next start.
    first.kill9().await;
    builder.start().await;
}

#[tokio::test]
async fn a_data_folder_that_is_a_file_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file is made");
    let builder = Forebay::builder().data_dir(file.path());
    assert_refused(&builder.run_to_exit(TIMEOUT).await, "FOREBAY_DATA_DIR");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken
        .local_addr()
        .expect("the listener has an address")
        .to_string();
    let builder = Forebay::builder().env("FOREBAY_LISTEN", address.as_str());
    let exited = builder.run_to_exit(TIMEOUT).await;
    assert_refused(&exited, "FOREBAY_LISTEN");
    assert!(
        exited.stderr.contains(&address),
        "the message does not name the address: {exited:?}"
    );
}

#[tokio::test]
async fn help_lists_the_variables_and_shows_no_secret() {
    for args in [
        &["--help"][..],
        &["worker", "--help"],
        &["gateway", "--help"],
    ] {
        let secret = ("OPENAI_API_KEY", "do-not-show-me");
        let exited = run_to_exit(args, &[secret], TIMEOUT).await;
        assert_eq!(exited.code, Some(0), "{exited:?}");
        for variable in VARIABLES {
            let is_named = exited.stdout.contains(variable);
            assert!(
                is_named,
                "{args:?} does not name {variable}:\n{}",
                exited.stdout
            );
        }
        assert!(
            !exited.stdout.contains(secret.1),
            "the help shows the key: {}",
            exited.stdout
        );
    }
}

#[tokio::test]
async fn without_a_key_and_a_model_jobs_are_simulated_and_the_log_reports_it() {
    let forebay = Forebay::builder().start().await;
    assert!(
        forebay.logs().contains("simulated"),
        "the log does not mention the simulation: {}",
        forebay.logs()
    );
    let client = e2e::client::Client::new(forebay.url());
    let job = client
        .submit_ok(&serde_json::json!({ "input": "hi" }))
        .await;
    let job = client.wait(e2e::client::id_of(&job), TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["provider"], "simulated", "{job}");
}
