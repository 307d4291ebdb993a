//! The binaries that are one half of the pair: `gateway` and `worker` are `forebay gateway` and
//! `forebay worker`, whatever else is asked.

use std::process::{Command, Output};

fn run(binary: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary);
    command
        .args(args)
        .env_clear()
        .envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_half_needs_both_servers_and_says_so() {
    let binaries = [
        ("gateway", env!("CARGO_BIN_EXE_gateway")),
        ("worker", env!("CARGO_BIN_EXE_worker")),
    ];
    for (role, binary) in binaries {
        let ended = run(binary, &[], &[]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(
            said.contains(&format!("forebay {role} needs AMQP_URL and REDIS_URL")),
            "{said}"
        );

        let ended = run(binary, &[], &[("AMQP_URL", "amqp://127.0.0.1:1")]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("REDIS_URL is not"), "{said}");
    }
}

#[test]
fn a_half_is_no_other_half() {
    let ended = run(env!("CARGO_BIN_EXE_gateway"), &["worker"], &[]);
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("this binary is the gateway"), "{said}");
}
