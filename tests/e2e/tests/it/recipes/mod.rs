//! The README's recipes for providers. Each runs against a real or a scripted server, whose URL replaces the README's.

mod litellm;
mod llama_cpp;
mod slashes;

use std::{path::PathBuf, slice};

use e2e::{
    client::{Client, id_of},
    process::{Builder, Forebay},
    readme,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::TIMEOUT;

/// The arguments and the environment variables of a command.
pub(crate) type RecipeCommand = (Vec<String>, Vec<(String, String)>);

/// The block of the README with this name. `replacements` has pairs: a value that the block must contain, and the value
/// that replaces it.
fn recipe(name: &str, replacements: &[(&str, &str)]) -> String {
    let mut block = readme::block(&readme::read(), name);
    for (value_in_readme, value) in replacements {
        assert!(
            block.contains(value_in_readme),
            "{name} must contain {value_in_readme}: {block}"
        );
        block = block.replace(value_in_readme, value);
    }
    block
}

/// The commands of a block, one in each line: `NAME=VALUE… forebay ARGUMENT…`.
pub(crate) fn commands(name: &str, replacements: &[(&str, &str)]) -> Vec<RecipeCommand> {
    let command = |line: &str| {
        let (variables, args) = line
            .split_once(" forebay")
            .unwrap_or_else(|| panic!("{line} must run forebay"));
        let variable = |word: &str| {
            let (name, value) = word
                .split_once('=')
                .unwrap_or_else(|| panic!("{word} must be a variable"));
            (name.to_owned(), value.to_owned())
        };
        (
            args.split_whitespace().map(str::to_owned).collect(),
            variables.split_whitespace().map(variable).collect(),
        )
    };
    recipe(name, replacements).lines().map(command).collect()
}

/// A process whose providers file is a block of the README.
struct WithProvidersFile {
    process: Forebay,
    client: Client,
    _folder: TempDir,
}

impl WithProvidersFile {
    async fn start(name: &str, replacements: &[(&str, &str)], env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let path: PathBuf = folder.path().join("providers.toml");
        std::fs::write(&path, recipe(name, replacements)).expect("the file is written");
        let mut builder: Builder = Forebay::builder()
            .env("FOREBAY_PROVIDERS_FILE", path.to_string_lossy())
            .env("FOREBAY_BACKOFF_MS", "50")
            .env("FOREBAY_TRIES_MAX", "2");
        for (name, value) in env {
            builder = builder.env(name, *value);
        }
        let process = builder.start().await;
        Self {
            client: Client::new(process.url()),
            process,
            _folder: folder,
        }
    }

    /// Runs a job to its end.
    async fn run(&self, job: &Value) -> Value {
        run_jobs(&self.client, slice::from_ref(job)).await.remove(0)
    }
}

/// Runs jobs one after the other, and returns them when they have ended.
async fn run_jobs(client: &Client, jobs: &[Value]) -> Vec<Value> {
    let mut ended = Vec::new();
    for job in jobs {
        let submitted = client.submit_ok(job).await;
        ended.push(client.wait(id_of(&submitted), TIMEOUT).await);
    }
    ended
}
