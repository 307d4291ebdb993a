//! Builds the `forebay` binary and finds its path. Each test process runs cargo once, so that tests never use an old build.
//!
//! `tests/run` builds the binary together with the tests and passes its path in `FOREBAY_TEST_BINARY`, so cargo does not run again.
//! A separate build would compile most crates again: which features cargo enables depends on the packages that it builds together.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, anyhow, bail};

static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// Builds the binary in the profile and target folder of the running test, and returns its path.
///
/// # Errors
/// If cargo cannot build the binary. The error contains cargo's output.
pub async fn path() -> anyhow::Result<PathBuf> {
    let built = tokio::task::spawn_blocking(|| {
        BINARY.get_or_init(|| build().map_err(|error| format!("{error:#}")))
    });
    built.await?.clone().map_err(|message| anyhow!(message))
}

/// The environment variable with the path of a binary that is built already.
const BUILT_BINARY: &str = "FOREBAY_TEST_BINARY";

fn build() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(BUILT_BINARY).map(PathBuf::from) {
        if !path.is_file() {
            bail!("{BUILT_BINARY} names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let test = std::env::current_exe().context("the path of this test")?;
    let (target_dir, profile) = target_and_profile(&test)
        .with_context(|| format!("{} is not in a target folder", test.display()))?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--package", "forebay", "--bin", "forebay"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target_dir)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    // Cargo's variables about the package of the test must not reach the build.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.output().context("running cargo")?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        bail!("cargo could not build forebay:\n{log}");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .find_map(executable)
        .context("cargo's messages name no executable of forebay")
}

/// The target folder and the profile of a test binary: `target` and `dev` for `target/debug/deps/test-123`.
fn target_and_profile(test: &Path) -> Option<(&Path, &str)> {
    let mut folder = test.parent()?;
    if ["deps", "examples"].contains(&folder.file_name()?.to_str()?) {
        folder = folder.parent()?;
    }
    let profile = match folder.file_name()?.to_str()? {
        "debug" => "dev",
        profile => profile,
    };
    Some((folder.parent()?, profile))
}

/// The executable in this line of cargo's messages, if the line is about the binary `forebay`.
fn executable(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message["target"]["name"] != "forebay" {
        return None;
    }
    message["executable"].as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_and_the_profile_are_parsed_from_the_tests_path() {
        let parse = |path| target_and_profile(Path::new(path));
        let target = Path::new("/x/target");
        assert_eq!(parse("/x/target/debug/deps/e2e-1"), Some((target, "dev")));
        assert_eq!(parse("/x/target/release/bench"), Some((target, "release")));
        assert_eq!(parse("/x/target/ci/deps/e2e-1"), Some((target, "ci")));
    }

    #[test]
    fn the_path_of_the_binary_forebay_is_found_in_cargos_messages() {
        let line = r#"{"target":{"name":"forebay"},"executable":"/x/forebay"}"#;
        assert_eq!(executable(line), Some(PathBuf::from("/x/forebay")));
        assert_eq!(executable(r#"{"target":{"name":"forebay"}}"#), None);
        let other = r#"{"target":{"name":"other"},"executable":"/x/other"}"#;
        assert_eq!(executable(other), None);
        assert_eq!(executable("no json"), None);
    }
}
