//! The `forebay` binary that is measured.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The given binary. Without one, a release build of `bench` builds `forebay` and returns its path; a debug build takes the
/// `forebay` in its own folder.
///
/// # Errors
/// If cargo fails, or there is no such file.
pub(crate) async fn forebay(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        ensure!(given.is_file(), "there is no file {}", given.display());
        return Ok(given.to_owned());
    }
    if !cfg!(debug_assertions) {
        build().await?;
    }
    let binary = std::env::current_exe()?.with_file_name("forebay");
    ensure!(
        binary.is_file(),
        "there is no file {}: build it, or name a binary with --binary",
        binary.display()
    );
    Ok(binary)
}

async fn build() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "forebay",
        "--bin",
        "forebay",
    ];
    let status = Command::new(cargo)
        .args(build)
        .status()
        .await
        .context("starting cargo to build forebay")?;
    ensure!(status.success(), "cargo could not build forebay");
    Ok(())
}
