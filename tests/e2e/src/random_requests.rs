//! Random requests from the OpenAPI document, valid and invalid ones, also in sequences. schemathesis makes them.

use std::time::Duration;

use tokio::{process::Command, time::timeout};

use crate::python;

/// The timeout of all requests. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(1_800);

/// Sends 50 examples for each route, or 1,000 with `FOREBAY_TEST_LONG`. `FOREBAY_TEST_SEED` repeats a run.
///
/// One check of schemathesis is off: that every body which the schema accepts gets 202. The descriptions state the rules that a
/// schema cannot express.
///
/// # Panics
/// If an answer is a 5xx, or the document does not describe it. The message has the request and the seed.
pub async fn assert_described(url: &str) {
    run(url, &[]).await;
}

/// Sends the same to the routes of operators, with an admin key.
///
/// # Panics
/// As [`assert_described`].
pub async fn assert_admin_routes_described(url: &str, admin_key: &str) {
    let header = format!("Authorization: Bearer {admin_key}");
    let routes = "^/v1/admin/";
    run(url, &["--header", &header, "--include-path-regex", routes]).await;
}

async fn run(url: &str, further_args: &[&str]) {
    let examples = match std::env::var_os("FOREBAY_TEST_LONG") {
        Some(_) => "1000",
        None => "50",
    };
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let mut command = Command::new(python::program("schemathesis"));
    command
        .args(["run", &format!("{url}/openapi.json"), "--no-color"])
        .args(["--max-examples", examples, "--checks", "all"])
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(further_args)
        .current_dir(folder.path())
        .kill_on_drop(true);
    if let Ok(seed) = std::env::var("FOREBAY_TEST_SEED") {
        command.args(["--seed", &seed]);
    }
    let output = timeout(TIMEOUT, command.output()).await;
    let output = output
        .expect("the requests end in time")
        .expect("schemathesis starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}
