//! llama.cpp's server with a tiny model, which the program `llama_cpp.py` creates. The model's weights are random, so its
//! replies are nonsense.

use std::{path::Path, process::Command};

use crate::python::PythonServer;

/// A running server. It needs no key, and lists one model. Dropping it ends the server.
pub struct LlamaCpp(PythonServer);

impl LlamaCpp {
    /// Starts a server whose model has a context of this many tokens, and waits until it answers. Each byte of a message is one
    /// token.
    ///
    /// # Errors
    /// If its Python packages are missing, or the server does not answer. The error contains the end of the log.
    pub async fn start(context_tokens: u32) -> anyhow::Result<Self> {
        let command = move |python: &Path, folder: &Path, port: u16| {
            let mut command = Command::new(python);
            command
                .args(["-c", include_str!("llama_cpp.py")])
                .arg(folder)
                .args([port.to_string(), context_tokens.to_string()]);
            command
        };
        let server = PythonServer::start("llama.cpp", "test-llama-cpp", "/health", command).await?;
        Ok(Self(server))
    }

    /// The base URL, for `OPENAI_BASE_URL`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.0.url())
    }
}
