//! `gateway`: the same as `forebay gateway`.

use std::process::ExitCode;

fn main() -> ExitCode {
    forebay::main(Some(forebay::Role::Gateway))
}
