//! Resumes deferred jobs as their accounts get permits, the oldest first. The probe of a closed account is the call of a random job
//! that no worker has claimed, or of any random job if all were claimed.
//!
//! Only the elected sweeper does this. If the store no longer has the account of a job, the account begins again with one call.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::resume_unwind,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use forebay_shared::{
    account::{AccountEvent, AccountKey},
    ids::ProcessId,
    lane::LiveProcesses,
    store::{DeferredHead, Store, StoreError},
    time::TimeMs,
    wake::WakePermit,
};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::found_heads::FoundHeads;
use crate::{
    accounts::{Accounts, HeldPermit},
    gauge::Gauge,
    lanes::{LaneChange, Lanes},
    presence::Presence,
};

/// The most jobs of one account that a pass resumes.
const RESUMES_MAX: u32 = 500;
/// How many jobs are resumed at a time.
const RESUMES_AT_ONCE: usize = 64;
/// The most groups of accounts ([`ResumeLoop::groups`]) whose jobs are resumed side by side.
const GROUPS_AT_ONCE: usize = 64;
/// How long a pass waits for the accounts whose jobs it resumes. After that, slow groups continue during the next passes.
const PASS_MAX: Duration = Duration::from_millis(50);
/// The timeout of one resume.
const RESUME_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two passes while jobs wait.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// The pause between two passes while no job waits.
const IDLE_PAUSE: Duration = Duration::from_millis(250);
/// How often unused accounts and the calls of processes that are gone are removed.
const CLEAN_INTERVAL: Duration = Duration::from_secs(1);

/// Resumes deferred jobs while this process is the sweeper.
pub struct ResumeLoop {
    /// The id of this process, under which the permits are taken.
    pub id: ProcessId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Applies the resumes.
    pub lanes: Lanes,
    /// The accounts.
    pub accounts: Accounts,
    /// The counts of waiting jobs.
    pub gauge: Arc<Gauge>,
    /// The processes that are alive.
    pub presence: Presence,
    /// Whether this process is the sweeper.
    pub is_sweeper: watch::Receiver<bool>,
}

/// What the loop remembers between two passes.
#[derive(Default)]
struct LoopState {
    accounts: BTreeMap<AccountKey, AccountState>,
    /// The tasks that resume jobs now. Each has the states of its accounts.
    tasks: JoinSet<Vec<(AccountKey, AccountState)>>,
    /// The accounts of `tasks`.
    busy: BTreeSet<AccountKey>,
    /// The processes that have calls in flight or have set limits, and that the list of live processes lacks. Each has the time of the
    /// first list that lacked it.
    missing: BTreeMap<ProcessId, TimeMs>,
    /// When [`ResumeLoop::clean`] last ran.
    cleaned_at: Option<Instant>,
}

/// What the loop remembers of an account.
#[derive(Default)]
struct AccountState {
    /// When jobs were last resumed.
    resumed_at: Option<Instant>,
    found: FoundHeads,
}

impl ResumeLoop {
    /// Resumes jobs, for as long as the future is polled.
    pub async fn run(self) {
        let mut is_sweeper = self.is_sweeper.clone();
        let this = Arc::new(self);
        let mut loop_state = LoopState::default();
        loop {
            if is_sweeper.wait_for(|is_sweeper| *is_sweeper).await.is_err() {
                return;
            }
            let has_resumed = this.pass(&mut loop_state).await;
            this.clean(&mut loop_state).await;
            let is_busy = has_resumed || !this.waiting_accounts().is_empty();
            sleep(if is_busy { BUSY_PAUSE } else { IDLE_PAUSE }).await;
        }
    }

    /// Resumes as many jobs of each account as it has permits for. Returns whether it resumed any. Accounts are handled side
    /// by side, so that one whose store requests are slow does not delay the jobs of others.
    async fn pass(self: &Arc<Self>, loop_state: &mut LoopState) -> bool {
        let LoopState {
            accounts,
            tasks,
            busy,
            ..
        } = loop_state;
        // Accounts without waiting jobs are not searched, because a search is expensive.
        let waiting = self.waiting_accounts();
        accounts.retain(|key, _| waiting.contains(key));
        let mut keys: Vec<AccountKey> = waiting.difference(busy).cloned().collect();
        // The account whose jobs were resumed longest ago comes first.
        keys.sort_by_key(|key| accounts.get(key).and_then(|state| state.resumed_at));
        let mut groups = self.groups(keys);
        let began = Instant::now();
        let mut has_resumed = false;
        let mut pass_end = pin!(sleep(PASS_MAX));
        loop {
            while tasks.len() < GROUPS_AT_ONCE
                && let Some(keys) = groups.pop_front()
            {
                busy.extend(keys.iter().cloned());
                let states = keys.into_iter().map(|key| {
                    let state = accounts.remove(&key).unwrap_or_default();
                    (key, state)
                });
                tasks.spawn(Arc::clone(self).resume_group(states.collect()));
            }
            tokio::select! {
                done = tasks.join_next() => match done {
                    Some(Ok(states)) => for (key, state) in states {
                        has_resumed |= state.resumed_at >= Some(began);
                        busy.remove(&key);
                        accounts.insert(key, state);
                    },
                    // The process must end, as it does after a panic of the loop itself.
                    Some(Err(error)) => if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    },
                    None => break,
                },
                () = &mut pass_end => break,
            }
        }
        has_resumed
    }

    /// Groups the accounts. The accounts of one group are handled one after another. A limited provider and its models are one
    /// group, because they share its permits. Each other account is a group of its own.
    fn groups(&self, keys: Vec<AccountKey>) -> VecDeque<Vec<AccountKey>> {
        let mut groups: VecDeque<Vec<AccountKey>> = VecDeque::new();
        let mut by_provider: BTreeMap<AccountKey, usize> = BTreeMap::new();
        for key in keys {
            let provider = AccountKey::of_provider(key.provider());
            if !self.accounts.is_limited(&provider) {
                groups.push_back(vec![key]);
            } else if let Some(group) = by_provider.get(&provider) {
                groups[*group].push(key);
            } else {
                by_provider.insert(provider, groups.len());
                groups.push_back(vec![key]);
            }
        }
        groups
    }

    /// Resumes jobs of these accounts, one account after another.
    async fn resume_group(
        self: Arc<Self>,
        mut states: Vec<(AccountKey, AccountState)>,
    ) -> Vec<(AccountKey, AccountState)> {
        for (key, state) in &mut states {
            match self.resume_some(key, state).await {
                Ok(true) => state.resumed_at = Some(Instant::now()),
                Ok(false) => {}
                // An error of one account must not delay the jobs of other accounts.
                Err(error) => {
                    tracing::debug!(account = %key, %error, "jobs that wait for a provider were not resumed; the next pass tries again");
                }
            }
        }
        states
    }

    /// Resumes as many jobs of an account as it has permits for. Returns whether it resumed any.
    async fn resume_some(
        &self,
        key: &AccountKey,
        state: &mut AccountState,
    ) -> Result<bool, StoreError> {
        if self.accounts.available_for_wakes(key, RESUMES_MAX) == 0 {
            return Ok(false);
        }
        self.accounts.begin_if_lost(key).await?;
        let permits = self.accounts.available_for_wakes(key, RESUMES_MAX);
        if permits == 0 {
            return Ok(false);
        }
        let (is_for_probe, found) = (self.accounts.is_closed_for_wakes(key), &mut state.found);
        found
            .search(self.store.as_ref(), key, permits as usize, is_for_probe)
            .await?;
        let heads = if is_for_probe {
            found.take_probe()
        } else {
            found.take_oldest(permits)
        };
        let (granted, unused) = self.resume(key, heads).await?;
        if unused > 0 {
            // The jobs that were found have changed since. The next pass searches again.
            found.forget();
        }
        Ok(granted > unused)
    }

    /// The accounts for which jobs wait according to the counts, which are up to two seconds old.
    fn waiting_accounts(&self) -> BTreeSet<AccountKey> {
        let counts = self.gauge.counts();
        let deferred = counts.iter().flat_map(|(counts, _)| &counts.deferred);
        deferred.map(|count| count.account.clone()).collect()
    }

    /// How many heads wait for an account according to the counts, which are up to two seconds old.
    fn waiting_heads(&self, key: &AccountKey) -> u64 {
        let counts = self.gauge.counts();
        let deferred = counts.iter().flat_map(|(counts, _)| &counts.deferred);
        let of_account = deferred.filter(|count| count.account == *key);
        of_account.map(|count| count.heads).sum()
    }

    /// Takes permits for these heads, and resumes as many as were granted. Returns how many permits were granted, and how
    /// many of them were not used.
    async fn resume(
        &self,
        key: &AccountKey,
        mut heads: Vec<DeferredHead>,
    ) -> Result<(u32, u32), StoreError> {
        if heads.is_empty() {
            return Ok((0, 0));
        }
        let wanted = u32::try_from(heads.len()).unwrap_or(u32::MAX);
        let more_wait = self.waiting_heads(key) > u64::from(wanted);
        let granted = self.accounts.take_for_wakes(key, wanted, more_wait).await?;
        heads.truncate(granted as usize);
        let permit = WakePermit {
            account: key.clone(),
            process: self.id.clone(),
        };
        let unused = stream::iter(heads)
            .map(|head| self.resume_head(head, permit.clone()))
            .buffer_unordered(RESUMES_AT_ONCE)
            .fold(0, async |unused, is_resumed| {
                unused + u32::from(!is_resumed)
            })
            .await;
        if unused > 0 {
            let taken_at = self.store.now();
            let held = HeldPermit { permit, taken_at };
            self.accounts.give_back_for_wakes(&held, unused).await;
        }
        Ok((granted, unused))
    }

    /// Resumes one head, whose permit was taken. Returns whether its wake carries the permit.
    async fn resume_head(&self, head: DeferredHead, permit: WakePermit) -> bool {
        let job = head.job;
        let resume = LaneChange::resume(head.lane, job, permit);
        let result = self.lanes.apply(resume, RESUME_TIMEOUT).await;
        if let Err(error) = &result {
            tracing::debug!(job_id = %job, %error, "a job that waits for its provider was not resumed");
        }
        result.is_ok()
    }

    /// Deletes accounts that are no longer needed. Removes the calls of processes that are gone from the other accounts.
    async fn clean(&self, loop_state: &mut LoopState) {
        let is_recent = |at: Instant| at.elapsed() < CLEAN_INTERVAL;
        if loop_state.cleaned_at.is_some_and(is_recent) {
            return;
        }
        loop_state.cleaned_at = Some(Instant::now());
        let mut result = self.accounts.remove_forgettable().await;
        if let Some(live) = self.presence.live_processes() {
            let forgotten = self.forget_gone(&live, &mut loop_state.missing).await;
            result = result.and(forgotten);
        }
        if let Err(error) = result {
            tracing::debug!(%error, "unused accounts, or the calls of processes that are gone, were not removed; trying again in 1 s");
        }
    }

    /// Removes the calls of processes that are gone from the counts of calls in flight, and allows other processes to change the
    /// limits that those processes set. A process is gone if two lists of live processes lack it, because a process that has just
    /// started may be missing in one.
    async fn forget_gone(
        &self,
        live: &LiveProcesses,
        missing: &mut BTreeMap<ProcessId, TimeMs>,
    ) -> Result<(), StoreError> {
        let missing_before = std::mem::take(missing);
        for (key, account) in self.accounts.all() {
            let configured_by = account.configured_by.map(|by| by.process);
            for process in account.in_flight.into_keys().chain(configured_by) {
                if live.alive.contains(&process) {
                    continue;
                }
                let since = missing_before.get(&process).copied();
                let since = since.unwrap_or(live.read_at);
                missing.insert(process.clone(), since);
                if since < live.read_at {
                    let gone = AccountEvent::ProcessGone { process };
                    self.accounts.apply(&key, gone).await?;
                }
            }
        }
        Ok(())
    }
}
