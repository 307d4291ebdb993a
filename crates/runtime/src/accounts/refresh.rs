//! The loop that keeps the accounts of this process up to date.

use std::time::Duration;

use forebay_shared::store::{Notices, StoreError, Topic};
use futures_util::FutureExt as _;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::handle::Accounts;

/// How often the accounts are read without a notice, because notices may be lost.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// How long a new stream of notices may delay a read.
const WATCH_TIMEOUT: Duration = Duration::from_millis(250);
/// How long answers are gathered before they are applied.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// The pause after a notice. Further notices in this time cost no further read.
const AFTER_NOTICE: Duration = Duration::from_millis(20);

/// The loop behind [`Accounts`].
pub struct AccountsLoop {
    accounts: Accounts,
}

impl AccountsLoop {
    /// The loop of these accounts, which the caller must run.
    #[must_use]
    pub const fn new(accounts: Accounts) -> Self {
        Self { accounts }
    }

    /// Reads the accounts once a second and after each notice, and applies gathered answers, for as long as the future
    /// is polled.
    pub async fn run(self) {
        tokio::join!(self.read_loop(), self.flush_loop());
    }

    async fn read_loop(&self) {
        let mut interval = interval(READ_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut notices: Option<Notices> = None;
        loop {
            let notice = next_notice(&mut notices);
            let is_due = tokio::select! {
                is_watched = notice => {
                    if !is_watched {
                        // The stream has ended. The next read opens a new one.
                        notices = None;
                        continue;
                    }
                    sleep(AFTER_NOTICE).await;
                    drop_buffered(&mut notices);
                    false
                }
                _ = interval.tick() => true,
            };
            if notices.is_none() {
                notices = self.watch().await;
            }
            if let Err(error) = self.accounts.refresh().await {
                tracing::debug!(%error, "the accounts of the providers could not be read; trying again in 1 s");
            } else if is_due {
                self.accounts.correct_counts().await;
            }
        }
    }

    async fn watch(&self) -> Option<Notices> {
        let watch = self.accounts.shared.store.watch(Topic::Accounts);
        let watched = timeout(WATCH_TIMEOUT, watch)
            .await
            .unwrap_or_else(|_elapsed| Err(StoreError::Unavailable(None)));
        watched
            .inspect_err(|error| {
                tracing::debug!(%error, "changes of the providers' accounts are not watched; trying again in 1 s");
            })
            .ok()
    }

    async fn flush_loop(&self) {
        let mut interval = interval(FLUSH_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.accounts.flush_answers().await;
        }
    }
}

/// Waits for the next notice. Returns `false` when the stream has ended. Without a stream, this waits for ever.
async fn next_notice(notices: &mut Option<Notices>) -> bool {
    match notices {
        Some(notices) => notices.next().await.is_some(),
        None => std::future::pending().await,
    }
}

/// Drops the notices that have arrived. The next read includes the changes that they report.
fn drop_buffered(notices: &mut Option<Notices>) {
    if let Some(notices) = notices {
        while let Some(Some(_)) = notices.next().now_or_never() {}
    }
}

impl Accounts {
    /// Reads all accounts of the store.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let read = self.shared.store.accounts();
        self.shared.cache.refresh(read).await
    }
}
