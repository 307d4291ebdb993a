//! `worker`: the same as `forebay worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    forebay::main(Some(forebay::Role::Worker))
}
