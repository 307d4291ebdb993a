//! The command line of `bench`. `.ci/bench-smoke` checks that its measurements work.

use std::process::{Command, Output};

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .output()
        .expect("bench starts")
}

#[test]
fn the_help_lists_the_measurements() {
    let help = String::from_utf8(bench(&["--help"]).stdout).expect("the help is text");
    for command in [
        "table",
        "raw",
        "cpu",
        "growth",
        "spike",
        "hot-session",
        "workers",
        "in-flight",
        "cores",
    ] {
        let is_listed = help
            .lines()
            .any(|line| line.split_whitespace().next() == Some(command));
        assert!(is_listed, "{command} is missing: {help}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_debug_build_refuses_to_measure() {
    let refused = bench(&["cores"]);
    assert!(!refused.status.success());
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("--release"), "{message}");
}
