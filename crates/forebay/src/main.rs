//! `forebay`: gateway and worker in one process, or one of them by command.

use std::process::ExitCode;

fn main() -> ExitCode {
    forebay::main(None)
}
