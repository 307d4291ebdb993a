//! Tests of the variables that set up the export of traces: which are read, which are ignored, and which make the
//! process exit at its start.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<ParsedSettings, SettingError> {
    TraceSettings::read(&|name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn settings(variables: &[(&str, &str)]) -> TraceSettings {
    let read = read(variables).expect("the variables are valid");
    assert_eq!(read.ignored, []);
    read.settings.expect("spans are exported")
}

fn error(variables: &[(&str, &str)]) -> String {
    read(variables)
        .expect_err("the variables are refused")
        .to_string()
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

#[test]
fn the_export_is_off_unless_an_endpoint_or_the_exporter_is_set() {
    for off in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        &[("OTEL_SERVICE_NAME", "app")],
        &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "True")],
        // The settings of an export that is off are not checked.
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
    ] {
        let read = read(off).expect("the variables are valid");
        assert!(read.settings.is_none(), "{off:?} turns it on");
        assert_eq!(read.ignored, []);
    }
    let default = settings(&[("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(default.endpoint.as_str(), "http://localhost:4318/v1/traces");
    assert_eq!((default.queue_max, default.batch_max), (2_048, 512));
    settings(&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")]);
    settings(&[("OTEL_TRACES_EXPORTER", "OTLP")]);
}

#[test]
fn the_endpoint_for_traces_is_used_as_it_is() {
    for (variables, expected) in [
        (&[ENDPOINT][..], "http://collector:4318/v1/traces"),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c.example/otlp/")],
            "https://c.example/otlp/v1/traces",
        ),
        (
            &[
                ENDPOINT,
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:9/x"),
            ],
            "http://other:9/x",
        ),
    ] {
        assert_eq!(settings(variables).endpoint.as_str(), expected);
    }
}

#[test]
fn the_variables_for_traces_are_preferred() {
    let settings = settings(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-team=a%2Cb"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "2000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_SERVICE_NAME", "app"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
    ]);
    let headers = settings.headers.exposed();
    assert_eq!(headers.len(), 1);
    assert_eq!(headers.get("x-team").map(String::as_str), Some("a,b"));
    // Nothing prints a header's value.
    assert!(!format!("{settings:?}").contains("a,b"));
    assert_eq!(settings.timeout, Duration::from_secs(2));
    assert_eq!((settings.queue_max, settings.batch_max), (100, 100));
    assert_eq!(settings.delay, Duration::from_millis(50));
    assert_eq!(settings.service_name.as_deref(), Some("app"));
    assert_eq!(settings.resource.len(), 1);
    assert_eq!(settings.collector(), "http://collector:4318");
}

#[test]
fn what_would_make_every_export_fail_is_refused_with_what_to_set() {
    for (variable, value, words) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "gRPC", "http/protobuf"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "collector:4318",
            "http:",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "grpc://c:4317",
            "http:",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://me:secret@c:4318",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0A", "name=value"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem", "not supported"),
    ] {
        let message = error(&[ENDPOINT, (variable, value)]);
        assert!(message.starts_with(variable), "{message}");
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_ignored_with_a_warning_unless_every_export_would_fail() {
    let default = format!("{:?}", settings(&[ENDPOINT]));
    for (variable, value, words) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "otlp or none"),
        ("OTEL_TRACES_EXPORTER", "otlp,console", "otlp or none"),
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "none"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "1 to 1000000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "milliseconds"),
        (
            "OTEL_TRACES_SAMPLER",
            "jaeger_remote",
            "parentbased_traceidratio",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "x", "name=value"),
    ] {
        let read = read(&[ENDPOINT, (variable, value)]).expect("the value is ignored");
        let [ignored] = &*read.ignored else {
            panic!("{variable}={value}: {:?}", read.ignored);
        };
        assert_eq!(ignored.variable, variable);
        assert!(ignored.allowed.contains(words), "{ignored}");
        let settings = read.settings.expect("spans are exported");
        assert_eq!(format!("{settings:?}"), default, "{variable}={value}");
    }
    let large_batch = [ENDPOINT, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096")];
    let read = read(&large_batch).expect("the value is ignored");
    assert_eq!(read.ignored.len(), 1);
    assert_eq!(read.settings.expect("spans are exported").batch_max, 2_048);
}

#[test]
fn a_time_of_zero_is_the_longest_timeout_and_the_shortest_delay() {
    let settings = settings(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
    ]);
    assert_eq!(settings.timeout, Duration::from_secs(600));
    assert_eq!(settings.delay, Duration::from_millis(1));
}

#[test]
fn the_share_of_recorded_traces_is_checked() {
    let sampler = ("OTEL_TRACES_SAMPLER", "ParentBased_TraceIdRatio");
    let read = |share| read(&[ENDPOINT, sampler, ("OTEL_TRACES_SAMPLER_ARG", share)]);
    let of = |share| read(share).expect("the variables are valid");
    let good = of("0.25");
    assert_eq!(good.ignored, []);
    assert!(format!("{:?}", good.settings.expect("spans are exported").sampler).contains("0.25"));
    for bad in ["1.1", "-0.1", "half", "NaN"] {
        let read = of(bad);
        assert_eq!(read.ignored.len(), 1, "{bad}");
        let sampler = format!("{:?}", read.settings.expect("spans are exported").sampler);
        assert!(sampler.contains("1.0"), "{sampler}");
    }
}
