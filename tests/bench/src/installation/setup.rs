//! What an installation is made of: the binary, its settings, and the LLM server.

use std::path::PathBuf;

use crate::process::mock;

/// The model of all jobs. `OPENAI_BASE_URL` leads to the LLM server.
pub(crate) const MODEL: &str = "bench";

/// How an installation is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The `forebay` binary.
    pub(crate) binary: PathBuf,
    /// How the LLM server answers.
    pub(crate) provider: mock::Options,
    /// The settings of Forebay that differ from its defaults.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Whether Redis rewrites its append-only file when that has grown, as it does by default. A rewrite takes CPU time in some
    /// runs and not in others.
    pub(crate) rewrites_append_only_file: bool,
}

impl Setup {
    /// Forebay with its defaults, and a Redis that does not rewrite its append-only file. The LLM server answers after this latency
    /// in milliseconds.
    pub(crate) fn new(binary: PathBuf, latency_ms: u64) -> Self {
        Self {
            binary,
            provider: mock::Options {
                latency_min_ms: latency_ms,
                latency_max_ms: latency_ms,
                wait_for_release: false,
            },
            variables: Vec::new(),
            rewrites_append_only_file: false,
        }
    }
}
