//! LiteLLM's proxy. It answers every call itself (`mock_response`) and calls no provider.

use std::{fs, path::Path, process::Command};

use crate::python::PythonServer;

/// The proxy's configuration file: its models and its key.
const CONFIG: &str = r#"
model_list:
  - model_name: acme/chat
    litellm_params: {model: openai/any, api_key: none, mock_response: "Mocked by LiteLLM."}
  - model_name: acme/limited
    litellm_params: {model: openai/any, api_key: none, mock_response: litellm.RateLimitError}
  - model_name: acme/broken
    litellm_params: {model: openai/any, api_key: none, mock_response: litellm.InternalServerError}
  - model_name: acme/short
    litellm_params: {model: openai/any, api_key: none, mock_response: litellm.ContextWindowExceededError}
  - model_name: acme/tools
    litellm_params:
      model: openai/any
      api_key: none
      mock_response: ""
      mock_tool_calls:
        - {id: call_1, type: function, function: {name: weather, arguments: '{"city": "Oslo"}'}}
litellm_settings: {num_retries: 0, telemetry: false}
router_settings: {num_retries: 0, disable_cooldowns: true}
general_settings: {master_key: sk-test-litellm}
"#;

/// A running proxy. Dropping it ends the proxy.
pub struct LiteLlm(PythonServer);

impl LiteLlm {
    /// The key that the proxy requires.
    pub const KEY: &str = "sk-test-litellm";

    /// Starts a proxy and waits until it answers.
    ///
    /// # Errors
    /// If its Python packages are missing, or the proxy does not answer. The error contains the end of the log.
    pub async fn start() -> anyhow::Result<Self> {
        let command = |python: &Path, folder: &Path, port: u16| {
            let config = folder.join("config.yaml");
            // If the file cannot be written, the start fails and the log names the file.
            let _ = fs::write(&config, CONFIG);
            let mut command = Command::new(python.with_file_name("litellm"));
            command
                .arg("--config")
                .arg(config)
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .current_dir(folder)
                // Otherwise the proxy would read a list of prices from the network.
                .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
                .env_remove("DATABASE_URL");
            command
        };
        let server = PythonServer::start("litellm", "test-litellm", "/health/liveliness", command);
        server.await.map(Self)
    }

    /// The base URL, for `OPENAI_BASE_URL`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.0.url())
    }
}
