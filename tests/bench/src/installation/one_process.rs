//! Gateway and worker in one process over the embedded engine.

use std::fs;

use tempfile::TempDir;

use super::setup::Setup;
use crate::process::{mock, subject::Subject};

/// A running process, with its data folder.
pub(crate) struct OneProcess {
    pub(super) forebay: Subject,
    pub(super) provider: Subject,
    data: TempDir,
}

impl OneProcess {
    pub(super) async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let provider = mock::Options {
            wait_for_release: true,
            ..setup.provider.clone()
        };
        let provider = Subject::mock(&provider.arguments()).await?;
        let data = tempfile::tempdir()?;
        let mut variables = vec![
            ("OPENAI_BASE_URL", format!("{}/v1", provider.url)),
            ("OPENAI_API_KEY", String::from("bench")),
            ("FOREBAY_DATA_DIR", data.path().display().to_string()),
        ];
        variables.extend(setup.variables.iter().cloned());
        let forebay = Subject::forebay(&setup.binary, &[], &variables, None).await?;
        Ok(Self {
            forebay,
            provider,
            data,
        })
    }

    /// Lets the LLM server answer.
    pub(super) async fn release(&self) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        client
            .post(format!("{}/release", self.provider.url))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    pub(super) fn disk_bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.data.path())? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}
