//! `forebay`: the whole pair in one process, or, by command, one half of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    forebay::main(None)
}
