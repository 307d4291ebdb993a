//! The metrics of one process that is both gateway and worker. `promtool check metrics` accepts them, and their labels stay bounded.

use std::time::Duration;

use e2e::{
    client::{Client, id_of},
    metrics::Admin,
    process::Forebay,
};
use scripted_provider::ScriptedLlm;
use serde_json::json;
use tokio::task::JoinSet;

/// The timeout of a job. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The number of series of answered calls: one for each of the 100 models of the provider that get a label, and one with the label
/// `other` for each of both providers.
const ANSWER_SERIES: usize = 102;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_reports_what_its_jobs_did() {
    let server = ScriptedLlm::builder().start().await;
    let (name, value) = Admin::SETTING;
    let process = Forebay::builder()
        .openai(&server)
        .env("FOREBAY_MODEL", "m-1");
    let process = process.env(name, value).start().await;
    let (client, admin) = (Client::new(process.url()), Admin::of(&process).await);
    for number in 0..3 {
        let job = client
            .submit_ok(&json!({"input": format!("Job {number}.")}))
            .await;
        let job = client.wait(id_of(&job), TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
    client.submit(&json!({"input": 7})).await.expect(422);

    // An attempt is counted, and its slot becomes free, after the commit. A client may see the end of the job before that.
    let settled = async || {
        let scrape = admin.scrape().await;
        let completed = scrape.value(r#"forebay_job_attempts_total{result="completed"}"#);
        completed == Some(3.0) && scrape.value("forebay_slots_used") == Some(0.0)
    };
    assert!(
        e2e::fleet::poll_until(TIMEOUT, settled).await,
        "{}",
        admin.scrape().await.text
    );
    let scrape = admin.scrape().await;
    scrape.check_with_promtool().await;
    scrape.assert_documented();
    for (series, expected) in [
        (r#"forebay_submits_total{outcome="accepted"}"#, 3.0),
        (r#"forebay_submits_total{outcome="invalid_request"}"#, 1.0),
        (r#"forebay_claims_total{result="granted"}"#, 3.0),
        (r#"forebay_job_attempts_total{result="completed"}"#, 3.0),
        (
            r#"forebay_queue_wait_seconds_count{class="interactive"}"#,
            3.0,
        ),
        (r#"forebay_process_info{role="all",engine="embedded"}"#, 1.0),
        ("forebay_calls_in_flight", 0.0),
        ("forebay_slots", 256.0),
        ("forebay_slots_used", 0.0),
        ("forebay_worker_wedged", 0.0),
        ("forebay_draining", 0.0),
        // No other process changes the lanes.
        ("forebay_commit_conflicts_total", 0.0),
        ("forebay_takeovers_total", 0.0),
    ] {
        assert_eq!(
            scrape.value(series),
            Some(expected),
            "{series} in\n{}",
            scrape.text
        );
    }
    let call =
        r#"gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="m-1""#;
    let counted = [
        ("gen_ai_client_inference_duration_seconds_count", 3.0),
        ("forebay_call_first_byte_duration_seconds_count", 3.0),
    ];
    for (name, expected) in counted {
        assert_eq!(
            scrape.sum(name, call),
            expected,
            "{name} in\n{}",
            scrape.text
        );
    }
    for name in [
        "gen_ai_client_inference_usage_input_tokens_total",
        "gen_ai_client_inference_usage_output_tokens_total",
        "forebay_memory_limit_bytes",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(scrape.sum(name, "") > 0.0, "{name} in\n{}", scrape.text);
    }
    let commits = scrape.value(r#"forebay_store_duration_seconds_count{operation="commit"}"#);
    assert!(commits.is_some_and(|count| count >= 9.0), "{commits:?}");
    assert!(scrape.has_type("forebay_http_request_duration_seconds", "histogram"));
    assert_eq!(
        admin
            .try_get("/healthz")
            .await
            .expect("the process answers")
            .0,
        200
    );
    assert_eq!(
        admin
            .try_get("/readyz")
            .await
            .expect("the process answers")
            .0,
        200
    );
}

#[tokio::test]
async fn without_an_address_there_is_no_admin_listener() {
    let process = Forebay::builder().start().await;
    assert!(
        !process.logs().contains("metrics and health on"),
        "{}",
        process.logs()
    );
    let client = Client::new(process.url());
    client.get("/metrics").await.expect(404);
}

/// 10,000 jobs name 10,000 models of two providers, which answer for all of them. Invented models of the simulated provider get no
/// label.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn ten_thousand_models_have_a_bounded_number_of_labels() {
    let (name, value) = Admin::SETTING;
    let server = ScriptedLlm::builder().start().await;
    let process = Forebay::builder().openai(&server);
    let process = process.env("FOREBAY_SIMULATED_LATENCY_MS", "0");
    let process = process.env(name, value).start().await;
    let (client, admin) = (Client::new(process.url()), Admin::of(&process).await);
    let mut submitters = JoinSet::new();
    for submitter in 0..20 {
        let client = client.clone();
        submitters.spawn(async move {
            for number in 0..500 {
                let provider = ["simulated", "openai"][number % 2];
                let model = format!("{provider}/model-{submitter}-{number}");
                client
                    .submit_ok(&json!({"input": "Hi.", "model": model}))
                    .await;
            }
        });
    }
    submitters.join_all().await;
    let ended = async || {
        let scrape = admin.scrape().await;
        scrape.sum("forebay_job_attempts_total", r#"result="completed""#) >= 10_000.0
    };
    assert!(
        e2e::fleet::poll_until(TIMEOUT, ended).await,
        "the jobs do not end"
    );

    let scrape = admin.scrape().await;
    scrape.check_with_promtool().await;
    let calls = "gen_ai_client_inference_duration_seconds_count{";
    let models = scrape
        .text
        .lines()
        .filter(|line| line.starts_with(calls))
        .count();
    assert_eq!(models, ANSWER_SERIES, "series of calls");
    assert_eq!(
        scrape.sum("gen_ai_client_inference_duration_seconds_count", ""),
        10_000.0
    );
    let others = scrape.sum(
        "gen_ai_client_inference_duration_seconds_count",
        r#"model="other""#,
    );
    assert!(others >= 9_899.0, "{others} calls are of other models");
    assert!(
        scrape.series_count() < 6_000,
        "{} series",
        scrape.series_count()
    );
}
