use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, SettingError> {
    TraceSettings::read(&|name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn settings(variables: &[(&str, &str)]) -> TraceSettings {
    let read = read(variables).expect("the variables are valid");
    read.expect("spans are exported")
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
        assert!(read(off).expect("valid").is_none(), "{off:?} turns it on");
    }
    let default = settings(&[("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(default.endpoint.as_str(), "http://localhost:4318/v1/traces");
    assert_eq!((default.queue_max, default.batch_max), (2_048, 512));
    settings(&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")]);
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
    assert_eq!(
        settings.headers,
        [(String::from("x-team"), String::from("a,b"))]
    );
    assert_eq!(settings.timeout, Duration::from_secs(2));
    assert_eq!((settings.queue_max, settings.batch_max), (100, 100));
    assert_eq!(settings.delay, Duration::from_millis(50));
    assert_eq!(settings.service_name.as_deref(), Some("app"));
    assert_eq!(settings.resource.len(), 1);
    assert_eq!(settings.collector(), "http://collector:4318");
}

#[test]
fn a_variable_that_cannot_be_used_is_refused_with_what_to_set() {
    for (variable, value, words) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json",
            "http/protobuf",
        ),
        ("OTEL_TRACES_EXPORTER", "jaeger", "otlp or none"),
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
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
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0A", "name=value"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "none"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem", "not supported"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "1 to 1000000"),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "4096",
            "OTEL_BSP_MAX_QUEUE_SIZE",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "milliseconds"),
        (
            "OTEL_TRACES_SAMPLER",
            "sometimes",
            "parentbased_traceidratio",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "x", "name=value"),
    ] {
        let message = error(&[ENDPOINT, (variable, value)]);
        assert!(message.starts_with(variable), "{message}");
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn the_share_of_recorded_traces_is_checked() {
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    let of = |share: &'static str| {
        settings(&[ENDPOINT, sampler, ("OTEL_TRACES_SAMPLER_ARG", share)]).sampler
    };
    assert!(format!("{:?}", of("0.25")).contains("0.25"));
    for bad in ["1.1", "-0.1", "half", "NaN"] {
        let message = error(&[ENDPOINT, sampler, ("OTEL_TRACES_SAMPLER_ARG", bad)]);
        assert!(message.starts_with("OTEL_TRACES_SAMPLER_ARG"), "{message}");
    }
}
