//! Random requests that schemathesis makes from the OpenAPI document: valid and invalid ones, alone and in sequences.

use std::{fs, path::Path, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::python;

/// The timeout of all requests. Only failing tests reach it. A run of 1,000 examples takes 20 minutes beside other tests.
const TIMEOUT: Duration = Duration::from_secs(3_600);
/// The number of examples for each route, and the number in [`assert_limited_routes_described`]. With `FOREBAY_TEST_LONG`, both are
/// 1,000.
const EXAMPLES: u32 = 50;
const EXAMPLES_WITH_LIMITS: u32 = 10;

/// The configuration of schemathesis: its default list of statuses that refuse an invalid request, and 413, for a body that is invalid and
/// too large.
const CONFIG: &str = r#"[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
"#;
/// A check of schemathesis that [`assert_limited_routes_described`] adds.
const LIMIT_CHECK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/random_requests/limit_check.py"
);
/// An admin key of [`write_keys_with_limits`].
const ADMIN_KEY: &str = "shop-0123456789-0123456789-0123456789";

/// Sends 50 examples for each route, or 1,000 with `FOREBAY_TEST_LONG`. `FOREBAY_TEST_SEED` repeats a run.
///
/// The check that every body which the schema accepts gets 202 is off: a schema cannot express some rules, which only the
/// descriptions state.
///
/// # Panics
/// If an answer is a 5xx, or the document does not describe it. The message has the request and the seed.
pub async fn assert_described(url: &str) {
    run(url, EXAMPLES, &[], None).await;
}

/// Does the same as [`assert_described`] for the routes of operators, with an admin key.
///
/// # Panics
/// As [`assert_described`].
pub async fn assert_admin_routes_described(url: &str, admin_key: &str) {
    let header = format!("Authorization: Bearer {admin_key}");
    let routes = "^/v1/admin/";
    let args = ["--header", &header, "--include-path-regex", routes];
    run(url, EXAMPLES, &args, None).await;
}

/// Writes a keys file with one key of all scopes. Its tenant has limits that random requests seldom reach.
///
/// # Panics
/// If the file cannot be written.
pub fn write_keys_with_limits(path: &Path) {
    let text = format!("shop:{ADMIN_KEY}:submit,read,admin\n[shop] requests=200/1 live=100\n");
    fs::write(path, text).expect("the file is written");
}

/// Sends ten examples for each route, or 1,000 with `FOREBAY_TEST_LONG`, with the key of [`write_keys_with_limits`].
///
/// # Panics
/// As [`assert_described`], and if an answer of a limited route does not show the limits.
pub async fn assert_limited_routes_described(url: &str) {
    let header = format!("Authorization: Bearer {ADMIN_KEY}");
    let args = ["--header", &header];
    run(url, EXAMPLES_WITH_LIMITS, &args, Some(LIMIT_CHECK)).await;
}

/// Runs schemathesis with these arguments, and with the checks of this file.
async fn run(url: &str, examples: u32, further_args: &[&str], checks: Option<&str>) {
    let examples = match std::env::var_os("FOREBAY_TEST_LONG") {
        Some(_) => 1_000,
        None => examples,
    };
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    // schemathesis reads this file from its working directory.
    fs::write(folder.path().join("schemathesis.toml"), CONFIG).expect("the file is written");
    let mut command = Command::new(python::program("schemathesis"));
    command
        .args(["run", &format!("{url}/openapi.json"), "--no-color"])
        .args(["--max-examples", &examples.to_string(), "--checks", "all"])
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(further_args)
        .current_dir(folder.path())
        .kill_on_drop(true);
    if let Some(checks) = checks {
        command.env("SCHEMATHESIS_HOOKS", checks);
    }
    if let Ok(seed) = std::env::var("FOREBAY_TEST_SEED") {
        command.args(["--seed", &seed]);
    }
    let output = timeout(TIMEOUT, command.output()).await;
    let output = output
        .expect("the requests end in time")
        .expect("schemathesis starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    println!("{text}");
}
