//! Two processes over a real Redis: how soon one of them knows that the other has closed an account.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use e2e::slowdown;
use forebay_engine::distributed::store::{RedisSettings, RedisStore};
use forebay_runtime::accounts::{Accounts, AccountsLoop};
use forebay_shared::{
    account::{AccountEvent, AccountKey, ClosedBy, Phase, Refusal},
    ids::ProcessId,
    job::JobError,
    store::Store as _,
};
use servers::redis::{Redis, RedisOptions};
use tokio::{task::JoinHandle, time::timeout};

/// How often the account closes.
const CLOSINGS: usize = 200;
/// The pause that the provider asks for.
const PAUSE_MS: u64 = 10;
/// In 99 of 100 cases, a process knows of a closing within this time, multiplied by the slowdown of the machine.
const KNOWN_WITHIN: Duration = Duration::from_millis(200);
/// The timeout of one closing. Without notices, a process knows of it within a second.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A process that knows the accounts, with a store of its own.
struct Process {
    id: ProcessId,
    store: Arc<RedisStore>,
    accounts: Accounts,
    accounts_loop: JoinHandle<()>,
}

impl Process {
    async fn start(name: &str, redis: &Redis) -> Self {
        let settings = RedisSettings::new(redis.url());
        let store = Arc::new(RedisStore::connect(&settings).await.unwrap());
        let id = ProcessId::parse(name).unwrap();
        let accounts = Accounts::new(store.clone(), id.clone());
        let accounts_loop = tokio::spawn(AccountsLoop::new(accounts.clone()).run());
        Self {
            id,
            store,
            accounts,
            accounts_loop,
        }
    }

    async fn apply(&self, event: AccountEvent) {
        self.accounts.apply(&account(), event).await.unwrap();
    }

    async fn close(&self) {
        self.apply(AccountEvent::Refused(Refusal {
            cause: ClosedBy::Unavailable,
            taken_at: self.store.now(),
            overload_calls: None,
            retry_after_ms: Some(PAUSE_MS),
            limits: None,
            error: JobError::new("planned", "the test refuses the call"),
            random: 0.5,
        }))
        .await;
    }

    /// Opens the account by a probe that is answered.
    async fn open(&self) {
        tokio::time::sleep(Duration::from_millis(PAUSE_MS + 1)).await;
        let process = self.id.clone();
        self.apply(AccountEvent::Take {
            calls: 1,
            process,
            more_wait: false,
        })
        .await;
        self.apply(AccountEvent::Answered {
            started_at: vec![self.store.now()],
            replies: 1,
            tokens: 0,
            limits: None,
        })
        .await;
    }

    /// Waits until this process knows that the account is open, or that it is not.
    async fn wait_until_open_is(&self, is_open: bool) {
        let knows = async {
            while (self.accounts.get(&account()).phase == Phase::Open) != is_open {
                // No event reports that a process has read the accounts.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(TIMEOUT, knows)
            .await
            .expect("the process does not know of the change");
    }
}

fn account() -> AccountKey {
    AccountKey::of_provider("acme")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_knows_within_200_ms_that_another_one_has_closed_an_account() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let closer = Process::start("closer", &redis).await;
    let observer = Process::start("observer", &redis).await;
    // After the first change, the notices are watched.
    closer.close().await;
    observer.wait_until_open_is(false).await;
    closer.open().await;
    observer.wait_until_open_is(true).await;
    let began = slowdown::measure();
    let mut delays = Vec::with_capacity(CLOSINGS);
    for _ in 0..CLOSINGS {
        let closed_at = Instant::now();
        closer.close().await;
        observer.wait_until_open_is(false).await;
        delays.push(closed_at.elapsed());
        closer.open().await;
        observer.wait_until_open_is(true).await;
    }
    delays.sort_unstable();
    let p99 = delays[CLOSINGS * 99 / 100 - 1];
    println!(
        "a process knows of a closing after {:?} (p50), {p99:?} (p99), {:?} (max)",
        delays[CLOSINGS / 2 - 1],
        delays[CLOSINGS - 1]
    );
    slowdown::assert_within(
        KNOWN_WITHIN,
        began,
        p99,
        "p99 of the time until a closing is known",
    );
    for process in [closer, observer] {
        process.accounts_loop.abort();
    }
}
