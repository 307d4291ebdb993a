//! The API keys of a file, read again when the file changes.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use forebay_shared::{ids::TenantId, tenant_limit::TenantLimits};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    caller::Caller,
    keys_file::{self, KeysFile},
};

/// How often the file is read. A changed file is used once two reads in a row are equal, because it may be read while it is written.
/// So a removed key is refused at most about 4 s after the change, unless reads are slow.
const READ_EVERY: Duration = Duration::from_secs(2);
/// How long a read may take. A network file system may hang.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an error that lasts is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// The most bytes of the file.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why a file of API keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeysFileError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The path is no regular file, or its content is wrong, for example too large. The text says what is allowed, and contains no key.
    #[error("{0}")]
    Invalid(String),
}

/// The API keys of a file.
pub struct ApiKeysFile {
    path: PathBuf,
    /// The keys and the limits.
    content: RwLock<Arc<KeysFile>>,
}

impl ApiKeysFile {
    /// Reads a file: `tenant:key` or `tenant:key:scope,scope` in each line. A key is 32 to 512 characters long, a scope `submit`,
    /// `read` or `admin`. Without scopes, a key may submit and read. A line `[tenant] requests=100/60 live=50` has the limits of a tenant:
    /// at most 100 requests in 60 seconds to submit or retry a job, or to write or fork a session, and at most 50 live jobs.
    ///
    /// # Errors
    /// [`ApiKeysFileError`] if the file cannot be read, is no regular file, has more than 8 MiB or 10,000 keys, has no key, or has a
    /// wrong line.
    pub fn open(path: &Path) -> Result<Self, ApiKeysFileError> {
        let content = parse(&read(path)?)?;
        Ok(Self {
            path: path.to_owned(),
            content: RwLock::new(Arc::new(content)),
        })
    }

    /// The number of keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.content().keys.len()
    }

    /// The caller with this key.
    pub(super) fn find(&self, key: &str) -> Option<Caller> {
        self.content().keys.find(key).cloned()
    }

    /// Whether the key of this caller is still valid, with the same tenant and scopes.
    pub(crate) fn has(&self, caller: &Caller) -> bool {
        let content = self.content();
        let found = caller
            .key_hash()
            .and_then(|hash| content.keys.find_hash(hash));
        found.is_some_and(|found| found.has_same_rights(caller))
    }

    /// The limits of a tenant.
    pub(crate) fn limits_of(&self, tenant: &TenantId) -> Option<Arc<TenantLimits>> {
        self.content().limits.get(tenant).cloned()
    }

    fn content(&self) -> Arc<KeysFile> {
        Arc::clone(&self.content.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file every two seconds, for as long as the future is polled. While the file cannot be used, the earlier keys stay valid.
    pub(crate) async fn read_changes(self: Arc<Self>) {
        let mut reads = Reads::default();
        // Since when the file cannot be used, and when that was logged last.
        let mut failing: Option<(Instant, Instant)> = None;
        loop {
            tokio::time::sleep(READ_EVERY).await;
            match self.read_again(&mut reads).await {
                Ok(changed) => {
                    if let Some(count) = changed {
                        tracing::info!(path = %self.path.display(), keys = count, "API keys read again");
                    } else if failing.is_some() {
                        tracing::info!(path = %self.path.display(), "the file of API keys can be read again");
                    }
                    failing = None;
                }
                Err(error) => {
                    let now = Instant::now();
                    let (since, logged) = failing.unwrap_or((now, now));
                    let is_due = failing.is_none() || now - logged >= LOG_EVERY;
                    if is_due {
                        tracing::error!(
                            path = %self.path.display(),
                            %error,
                            failing_for_s = (now - since).as_secs(),
                            "the file of API keys cannot be used: the earlier keys stay valid, also those that were removed"
                        );
                    }
                    failing = Some((since, if is_due { now } else { logged }));
                }
            }
        }
    }

    /// Reads the file. Returns the number of its keys if they are used from now on.
    async fn read_again(&self, reads: &mut Reads) -> Result<Option<usize>, ApiKeysFileError> {
        // A read that hangs keeps its thread, so no second read is started beside it.
        let mut reading = reads.hanging.take().unwrap_or_else(|| {
            let path = self.path.clone();
            tokio::task::spawn_blocking(move || read(&path))
        });
        let text = match timeout(READ_TIMEOUT, &mut reading).await {
            Ok(Ok(text)) => text?,
            Ok(Err(error)) => return Err(io::Error::other(error).into()),
            Err(_elapsed) => {
                reads.hanging = Some(reading);
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
        };
        if !reads.is_new(&text) {
            return Ok(None);
        }
        let content = parse(&text)?;
        reads.mark_used();
        let count = content.keys.len();
        *self.content.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(content);
        Ok(Some(count))
    }
}

impl fmt::Debug for ApiKeysFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKeysFile").field(&self.path).finish()
    }
}

/// The hashes of the last texts, and a read that hangs.
#[derive(Default)]
struct Reads {
    /// A read that took longer than its time limit and has not ended.
    hanging: Option<JoinHandle<Result<String, ApiKeysFileError>>>,
    /// The hash of the text whose keys are in use. `None` at the start.
    used: Option<[u8; 32]>,
    /// The hash of the text that was read last.
    last: Option<[u8; 32]>,
}

impl Reads {
    /// Records that the text was read. Returns whether it was read twice in a row, and its keys are not in use.
    fn is_new(&mut self, text: &str) -> bool {
        let hash = Some(Sha256::digest(text).into());
        let is_stable = self.last == hash;
        self.last = hash;
        is_stable && self.used != hash
    }

    /// Records that the keys of the text that was read last are in use.
    const fn mark_used(&mut self) {
        self.used = self.last;
    }
}

fn parse(text: &str) -> Result<KeysFile, ApiKeysFileError> {
    keys_file::parse(text).map_err(ApiKeysFileError::Invalid)
}

fn read(path: &Path) -> Result<String, ApiKeysFileError> {
    let invalid = |message: &str| ApiKeysFileError::Invalid(message.to_owned());
    let file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(invalid("is not a regular file"));
    }
    // A file that is mounted into a container stays there when another file takes its name outside. Then it has no name left.
    if metadata.nlink() == 0 {
        return Err(invalid(
            "was replaced outside of this container, which still has the old file; write into the file instead, or mount its folder",
        ));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(invalid(&format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| invalid("must be text in UTF-8"))
}

/// Opens the file without blocking. Otherwise, opening a pipe would wait for another process.
fn open(path: &Path) -> io::Result<File> {
    let non_blocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(non_blocking).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use forebay_shared::ids::TenantId;

    use super::{ApiKeysFile, Reads};

    const FIRST: &str = "11111111111111111111111111111111";
    const SECOND: &str = "22222222222222222222222222222222";

    #[tokio::test]
    async fn a_changed_file_replaces_the_keys_and_a_wrong_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let write = |text: &str| fs::write(&path, text).expect("the file is written");
        write(&format!("a:{FIRST}"));
        let file = ApiKeysFile::open(&path).expect("the file is valid");
        let mut reads = Reads::default();
        let tenant_of = |key| file.find(key).map(|caller| caller.tenant().to_string());
        let first = file.find(FIRST).expect("the key is valid");

        write(&format!("a:{SECOND}\nb:{FIRST}"));
        assert_eq!(
            file.read_again(&mut reads).await.expect("valid"),
            None,
            "read once"
        );
        assert_eq!(tenant_of(SECOND), None);
        assert_eq!(file.read_again(&mut reads).await.expect("valid"), Some(2));
        assert_eq!(
            file.read_again(&mut reads).await.expect("valid"),
            None,
            "no change"
        );
        assert_eq!(tenant_of(FIRST).as_deref(), Some("b"));
        assert_eq!(tenant_of(SECOND).as_deref(), Some("a"));
        assert!(!file.has(&first), "the key has another tenant now");

        write(&format!("a:{SECOND}\nb:{FIRST}\n[a] live=5"));
        file.read_again(&mut reads).await.expect("read once");
        assert_eq!(file.read_again(&mut reads).await.expect("valid"), Some(2));
        let has_limits = |tenant: &str| {
            let tenant = TenantId::parse(tenant).expect("a tenant");
            file.limits_of(&tenant).is_some()
        };
        assert!(has_limits("a") && !has_limits("b"));
        let wrong_limit = format!("a:{SECOND}\nb:{FIRST}\n[a] live=x");
        for wrong in ["", "# all gone", "a:short", &wrong_limit] {
            write(wrong);
            file.read_again(&mut reads).await.expect("read once");
            assert!(file.read_again(&mut reads).await.is_err(), "{wrong}");
            assert!(
                file.read_again(&mut reads).await.is_err(),
                "{wrong}, read again"
            );
        }
        fs::remove_file(&path).expect("the file is deleted");
        let error = file.read_again(&mut reads).await.expect_err("no file");
        assert!(error.to_string().contains("No such file"), "{error}");
        fs::create_dir(&path).expect("a folder in its place");
        let error = file.read_again(&mut reads).await.expect_err("a folder");
        assert_eq!(error.to_string(), "is not a regular file");
        assert_eq!(tenant_of(FIRST).as_deref(), Some("b"));
        assert!(has_limits("a"), "a wrong file changes no limits");

        fs::remove_dir(&path).expect("the folder is deleted");
        write(&format!("a:{SECOND}"));
        file.read_again(&mut reads).await.expect("read once");
        assert_eq!(file.read_again(&mut reads).await.expect("valid"), Some(1));
        assert_eq!(tenant_of(FIRST), None);
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo runs").success());
        let error = ApiKeysFile::open(&path).expect_err("a pipe");
        assert_eq!(error.to_string(), "is not a regular file");
    }
}
