//! What a scrape shows: the text formats, and labels that stay bounded whatever clients name.

use std::time::Duration;

use forebay_metrics::{
    Format, Metrics, Roles,
    calls::{EndedCall, Tokens},
    worker::{AttemptOutcome, ClaimOutcome},
};

const CALLS: &str = "gen_ai_client_inference_duration_seconds_count{";

fn text(metrics: &Metrics) -> String {
    metrics.encode(Format::Text).expect("the text is written")
}

fn call<'a>(model: &'a str, result: Result<Option<Tokens>, &'a str>) -> EndedCall<'a> {
    EndedCall {
        operation: "chat",
        provider: "local",
        model,
        duration: Duration::from_millis(70),
        first_byte: Some(Duration::from_millis(30)),
        result,
    }
}

/// The values of the series whose lines begin with this text.
fn values<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = u64> + 'a {
    let lines = text.lines().filter(move |line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
}

#[test]
fn ten_thousand_models_and_codes_get_a_bounded_number_of_labels() {
    let metrics = Metrics::default();
    metrics.calls.add_configured_model("local", "named");
    for number in 0..10_000 {
        let (model, code) = (format!("model-{number}"), format!("code-{number}"));
        metrics.calls.record(&call(&model, Err(&code)));
        metrics.worker.count_retry(&code);
        metrics.calls.record(&call(&model, Ok(None)));
    }
    metrics.calls.record(&call("named", Ok(None)));
    let text = text(&metrics);
    let series = text.lines().filter(|line| line.starts_with(CALLS)).count();
    // 100 models, `named` and `other` have answers. Each model failed before it had a label, with 64 codes and `_OTHER`.
    assert_eq!(series, 102 + 65, "series of calls");
    assert_eq!(
        values(&text, CALLS).sum::<u64>(),
        20_001,
        "every call counts"
    );
    assert!(text.contains(r#"gen_ai_request_model="named""#), "{text}");
    assert!(text.contains(r#"gen_ai_request_model="other""#));
    assert_eq!(values(&text, "forebay_retries_total{").count(), 65);
    assert_eq!(values(&text, "forebay_retries_total{").sum::<u64>(), 10_000);
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
}

#[test]
fn models_with_labels_and_many_codes_get_a_bounded_number_of_series() {
    let metrics = Metrics::default();
    for model in 0..100 {
        let model = format!("model-{model}");
        metrics.calls.record(&call(&model, Ok(None)));
        for code in 0..100 {
            let code = format!("code-{code}");
            metrics.calls.record(&call(&model, Err(&code)));
        }
    }
    let text = text(&metrics);
    let series = text.lines().filter(|line| line.starts_with(CALLS)).count();
    // 100 series of answers, 200 of failed models, and the 65 codes of all other failures.
    assert_eq!(series, 100 + 200 + 65);
    assert_eq!(values(&text, CALLS).sum::<u64>(), 100 + 10_000);
    assert!(text.contains(r#"error_type="_OTHER""#));
}

#[test]
fn a_failed_call_has_no_answer_and_no_first_byte() {
    let metrics = Metrics::default();
    metrics.calls.add_configured_model("local", "m");
    metrics.calls.record(&call("m", Err("rate_limited")));
    let failed = text(&metrics);
    let first_bytes = "forebay_call_first_byte_duration_seconds_count{";
    assert_eq!(values(&failed, CALLS).collect::<Vec<_>>(), [1], "{failed}");
    assert_eq!(values(&failed, first_bytes).count(), 0, "{failed}");
    metrics.calls.record(&call("m", Ok(None)));
    let answered = text(&metrics);
    assert_eq!(values(&answered, first_bytes).collect::<Vec<_>>(), [1]);
    assert!(!answered.contains(r#"error_type="""#), "{answered}");
}

#[test]
fn invented_models_of_a_provider_that_answers_for_any_get_no_label() {
    let metrics = Metrics::default();
    metrics.calls.set_answers_any_model("local");
    metrics.calls.add_configured_model("local", "named");
    for model in ["named", "invented"] {
        metrics.calls.record(&call(model, Ok(None)));
    }
    let text = text(&metrics);
    assert!(text.contains(r#"gen_ai_request_model="named""#), "{text}");
    assert!(!text.contains("invented"), "{text}");
}

#[test]
fn a_model_that_only_fails_gets_no_label() {
    let metrics = Metrics::default();
    metrics
        .calls
        .record(&call("invented", Err("model_not_found")));
    let text = text(&metrics);
    assert!(!text.contains("invented"), "{text}");
    let failed = r#"gen_ai_client_inference_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="local",gen_ai_request_model="other",error_type="model_not_found"} 1"#;
    assert!(text.lines().any(|line| line == failed), "{text}");
}

#[test]
fn tokens_are_counted_by_kind() {
    let metrics = Metrics::default();
    let tokens = Tokens {
        input: 10,
        output: 4,
        cached_input: Some(3),
        reasoning: None,
    };
    metrics.calls.record(&call("m", Ok(Some(tokens))));
    metrics.calls.record(&call("m", Ok(Some(tokens))));
    let text = text(&metrics);
    for (name, expected) in [("input", 20), ("output", 8), ("cache_read_input", 6)] {
        let start = format!("gen_ai_client_inference_usage_{name}_tokens_total{{");
        assert_eq!(values(&text, &start).sum::<u64>(), expected, "{start}");
    }
    assert!(!text.contains("reasoning_output_tokens_total{"), "{text}");
}

#[test]
fn a_label_that_needs_escapes_is_escaped() {
    let metrics = Metrics::default();
    metrics.calls.add_configured_model("local", "a\"b\\c\nd");
    metrics.calls.record(&call("a\"b\\c\nd", Ok(None)));
    let text = text(&metrics);
    assert!(
        text.contains(r#"gen_ai_request_model="a\"b\\c\nd""#),
        "{text}"
    );
}

#[test]
fn a_process_reports_only_its_parts_and_known_series_begin_at_0() {
    let worker = Metrics::new(Roles {
        gateway: false,
        worker: true,
    });
    worker.worker.count_claim(ClaimOutcome::Granted);
    worker.worker.count_attempt(AttemptOutcome::Completed);
    let of_worker = text(&worker);
    assert!(
        of_worker.contains(r#"forebay_claims_total{result="granted"} 1"#),
        "{of_worker}"
    );
    assert!(
        of_worker.contains(r#"forebay_claims_total{result="denied"} 0"#),
        "{of_worker}"
    );
    assert!(!of_worker.contains("forebay_submits"), "{of_worker}");
    let gateway = Metrics::new(Roles {
        gateway: true,
        worker: false,
    });
    let of_gateway = text(&gateway);
    assert!(
        of_gateway.contains(r#"forebay_submits_total{outcome="accepted"} 0"#),
        "{of_gateway}"
    );
    assert!(!of_gateway.contains("forebay_claims"), "{of_gateway}");
    for text in [of_worker, of_gateway] {
        assert!(text.contains("forebay_takeovers_total 0"), "{text}");
        assert!(text.contains("process_cpu_seconds_total "), "{text}");
    }
}

#[test]
fn sampled_metrics_are_read_at_each_scrape() {
    let metrics = Metrics::default();
    let reads = std::sync::atomic::AtomicU32::new(0);
    metrics.sampled_counter("test_reads", "Reads", move || {
        let read = reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        vec![(vec![("kind", "a".into())], f64::from(read))]
    });
    metrics.sampled_gauge("test_nothing", "Nothing", Vec::new);
    for read in 1..=2 {
        let text = text(&metrics);
        assert!(text.contains("# TYPE test_reads_total counter"), "{text}");
        assert!(
            text.contains(&format!(r#"test_reads_total{{kind="a"}} {read}"#)),
            "{text}"
        );
        assert!(!text.contains("test_nothing"), "{text}");
    }
}
