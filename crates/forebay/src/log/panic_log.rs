//! Logs panics as log lines. The standard panic hook would wait for a reader of standard error that reads nothing.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

use super::output::{FLUSH_TIMEOUT, LogOutput};

/// The most bytes of a panic's message that are logged.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// Replaces the standard panic hook.
pub(super) fn install(output: LogOutput) {
    panic::set_hook(Box::new(move |info| {
        log(info);
        // The panic may end the process.
        output.flush(FLUSH_TIMEOUT);
    }));
}

fn log(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or_default();
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    // The backtrace is captured only if RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let location = info.location().map(ToString::to_string);
    let location = location.unwrap_or_default();
    tracing::error!(
        thread = thread::current().name(),
        panic = message,
        backtrace = backtrace.map(tracing::field::display),
        "panicked at {location}"
    );
}
