//! The limits of tenants in one process.

use std::time::Duration;

use e2e::{
    flood::{assert_limited, flood, write_keys_file},
    process::Forebay,
};
use scripted_provider::ScriptedLlm;

/// The timeout of a flood. Only failing tests reach it.
const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn one_process_accepts_what_the_limits_allow() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let keys = folder.path().join("keys");
    write_keys_file(
        &keys,
        &[
            ("rate-40", "requests=40/600"),
            ("rate-200", "requests=200/600"),
            ("live-40", "live=40"),
            ("live-200", "live=200"),
        ],
    );
    let llm = ScriptedLlm::start().await;
    // No job ends.
    let _gate = llm.gate_all_requests();
    let process = Forebay::builder()
        .openai(&llm)
        .env("FOREBAY_MODEL", crate::fixture::GPT)
        .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
        .start()
        .await;
    let urls = [process.url().to_owned()];
    for (tenant, limit) in [
        ("rate-40", 40),
        ("rate-200", 200),
        ("live-40", 40),
        ("live-200", 200),
    ] {
        let accepted = flood(&urls, tenant, LONG).await;
        assert_eq!(accepted, limit, "{tenant}");
        assert_limited(accepted, limit, tenant);
    }
}
