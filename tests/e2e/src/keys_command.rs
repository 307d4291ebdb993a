//! Runs `forebay keys` against a running process.

use std::time::Duration;

use crate::process::{Exited, Forebay};

/// How long the command may take. Only failing tests reach this time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The command with an admin key, for the process at a URL.
#[derive(Clone, Debug)]
pub struct KeysCommand {
    /// The URL of the process.
    pub url: String,
    /// The admin key.
    pub admin_key: String,
}

/// A key that the command has made.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// The key itself.
    pub key: String,
    /// Its id.
    pub id: String,
}

impl KeysCommand {
    /// Runs the command with these arguments until it ends.
    ///
    /// # Panics
    /// If it does not end, or prints the admin key.
    pub async fn run(&self, args: &[&str]) -> Exited {
        let mut builder = Forebay::builder()
            .arg("keys")
            .env("FOREBAY_ADMIN_KEY", &self.admin_key);
        for arg in args {
            builder = builder.arg(*arg);
        }
        let builder = builder.arg("--url").arg(&self.url);
        let exited = builder.run_to_exit(TIMEOUT).await;
        let output = format!("{exited:?}");
        assert!(!output.contains(&self.admin_key), "{output}");
        exited
    }

    /// Runs the command, which must succeed.
    ///
    /// # Panics
    /// If it fails.
    pub async fn run_ok(&self, args: &[&str]) -> Exited {
        let exited = self.run(args).await;
        assert_eq!(exited.code, Some(0), "{exited:?}");
        exited
    }

    /// Makes a key with these arguments.
    ///
    /// # Panics
    /// If the command fails, or prints something else on standard output.
    pub async fn create(&self, args: &[&str]) -> MadeKey {
        let args = [&["create"], args].concat();
        let exited = self.run_ok(&args).await;
        let key = exited.stdout.trim_end().to_owned();
        assert!(key.starts_with("fbk_") && key.len() == 50, "{exited:?}");
        assert!(!exited.stderr.contains(&key), "{exited:?}");
        let id = exited.stderr.split_whitespace().next();
        let id = id.expect("the command prints the id of the key").to_owned();
        assert!(id.starts_with("key_"), "{exited:?}");
        MadeKey { key, id }
    }
}
