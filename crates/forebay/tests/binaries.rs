//! The binaries `gateway` and `worker`. They behave as `forebay gateway` and `forebay worker`.

use std::process::{Command, Output};

fn run(binary: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary);
    command
        .args(args)
        .env_clear()
        .envs(variables.iter().copied());
    command.output().expect("the binary should start")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_role_requires_the_urls_of_both_servers() {
    let binaries = [
        ("gateway", env!("CARGO_BIN_EXE_gateway")),
        ("worker", env!("CARGO_BIN_EXE_worker")),
    ];
    for (role, binary) in binaries {
        let output = run(binary, &[], &[]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "standard error: {errors}");
        assert!(
            errors.contains(&format!("forebay {role} needs AMQP_URL and REDIS_URL")),
            "standard error: {errors}"
        );

        let output = run(binary, &[], &[("AMQP_URL", "amqp://127.0.0.1:1")]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "standard error: {errors}");
        assert!(
            errors.contains("REDIS_URL is not"),
            "standard error: {errors}"
        );
    }
}

#[test]
fn a_binary_with_a_role_refuses_another_role() {
    let output = run(env!("CARGO_BIN_EXE_gateway"), &["worker"], &[]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "standard error: {errors}");
    assert!(
        errors.contains("this binary is the gateway"),
        "standard error: {errors}"
    );
}
