//! Tests of the accounts of the providers: two processes over one store, of which one reaches the store through a
//! `FaultyStore`.

mod answers;
mod changes;
mod counts;
mod reads;

use forebay_runtime::accounts::{Accounts, AccountsLoop};
use forebay_shared::{
    account::{Account, AccountEvent, AccountKey, ClosedBy, ConfiguredLimits, Phase, Refusal},
    job::JobError,
};
use tokio::task::JoinHandle;

use crate::scene::{Scene, configured_by_other, pass_ms, process};

/// Two processes over one store.
struct Processes {
    scene: Scene,
    /// The tested process. Its calls of the store are counted and can fail.
    me: Accounts,
    /// A process whose calls of the store never fail.
    other: Accounts,
    _loops: [JoinHandle<()>; 2],
}

impl Processes {
    /// Both processes have read the accounts once.
    async fn start() -> Self {
        let scene = Scene::new();
        let me = Accounts::new(scene.store.clone(), process("me"));
        let other = Accounts::new(scene.inner_store.clone(), process("other"));
        let loops = [&me, &other].map(|accounts| {
            let accounts_loop = AccountsLoop::new(accounts.clone());
            tokio::spawn(accounts_loop.run())
        });
        pass_ms(50).await;
        Self {
            scene,
            me,
            other,
            _loops: loops,
        }
    }

    /// Limits the calls in flight of an account. Both processes know it afterwards.
    async fn limit_concurrency(&self, key: &AccountKey, concurrency: u32) {
        let limits = ConfiguredLimits {
            concurrency: Some(concurrency),
            ..ConfiguredLimits::default()
        };
        let configured = configured_by_other(limits);
        self.other.apply(key, configured).await.unwrap();
        pass_ms(50).await;
    }

    /// The account in the store; one without limits if the store has none.
    fn stored(&self, key: &AccountKey) -> Account {
        let state = self.scene.inner_store.state();
        let stored = state.accounts.get(key);
        stored.map_or_else(Account::default, |stored| stored.account.clone())
    }

    /// The calls in flight that the store counts for a process.
    fn in_flight(&self, key: &AccountKey, name: &str) -> u32 {
        let account = self.stored(key);
        account
            .in_flight
            .get(&process(name))
            .copied()
            .unwrap_or_default()
    }

    /// A refusal of a call that starts now.
    fn refusal(&self, cause: ClosedBy, retry_after_ms: Option<u64>) -> AccountEvent {
        AccountEvent::Refused(Refusal {
            cause,
            taken_at: self.scene.now(),
            overload_calls: None,
            retry_after_ms,
            limits: None,
            error: JobError::new("planned", "the test refuses the call"),
            random: 0.5,
        })
    }
}

/// The account of the tests.
fn provider() -> AccountKey {
    AccountKey::of_provider("acme")
}

/// The account of a model of [`provider`].
fn model() -> AccountKey {
    AccountKey::of_model("acme", "large")
}

fn is_closed(account: &Account) -> bool {
    matches!(account.phase, Phase::Closed(_))
}
