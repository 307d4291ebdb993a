//! Resumes deferred jobs as their accounts get permits, the oldest first. The probe of a closed account is any of them.
//!
//! Only the elected sweeper does this. If the store no longer has the account of a job, the account grants every permit.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use forebay_shared::{
    account::{AccountEvent, AccountKey},
    class::Class,
    ids::ProcessId,
    lane::LiveProcesses,
    store::{DeferredHead, Store, StoreError},
    time::TimeMs,
    wake::WakePermit,
};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

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
/// The timeout of one resume.
const RESUME_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two passes while jobs wait.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// The pause between two passes while no job waits.
const IDLE_PAUSE: Duration = Duration::from_millis(250);
/// The least time between two searches for the jobs of a class.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);
/// A search asks for at least this many jobs, and the next passes take the rest. A search is expensive, because a fleet's
/// store has 256 partitions.
const SEARCHED_MIN: usize = 100;
/// Batch jobs get one permit of each group of this many while interactive jobs wait too.
const BATCH_SHARE_DIVISOR: u32 = 10;

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
    /// The processes with calls in flight that are missing in the list of live processes, each with the time of the first
    /// such list.
    missing: BTreeMap<ProcessId, TimeMs>,
    /// When [`ResumeLoop::clean`] last ran.
    cleaned_at: Option<Instant>,
}

/// What the loop remembers of an account.
#[derive(Default)]
struct AccountState {
    /// When jobs were last resumed.
    resumed_at: Option<Instant>,
    interactive: FoundHeads,
    batch: FoundHeads,
    /// The permits that do not count towards the share of batch jobs yet, fewer than [`BATCH_SHARE_DIVISOR`].
    permits_since_batch: u32,
}

/// The waiting jobs of one class that the last search found, the oldest first.
#[derive(Default)]
struct FoundHeads {
    heads: VecDeque<DeferredHead>,
    searched_at: Option<Instant>,
}

impl FoundHeads {
    fn move_any_to_front(&mut self) {
        if !self.heads.is_empty()
            && let Some(head) = self.heads.remove(rand::random_range(0..self.heads.len()))
        {
            self.heads.push_front(head);
        }
    }

    fn take(&mut self, count: usize) -> impl Iterator<Item = DeferredHead> {
        self.heads.drain(..count.min(self.heads.len()))
    }
}

impl ResumeLoop {
    /// Resumes jobs, for as long as the future is polled.
    pub async fn run(mut self) {
        let mut loop_state = LoopState::default();
        loop {
            if self
                .is_sweeper
                .wait_for(|is_sweeper| *is_sweeper)
                .await
                .is_err()
            {
                return;
            }
            let has_resumed = self.pass(&mut loop_state).await;
            self.clean(&mut loop_state).await;
            let is_busy = has_resumed || !self.counted().is_empty();
            sleep(if is_busy { BUSY_PAUSE } else { IDLE_PAUSE }).await;
        }
    }

    /// Resumes as many jobs of each account as it has permits for. Returns whether it resumed any.
    async fn pass(&self, loop_state: &mut LoopState) -> bool {
        // Accounts without waiting jobs are not searched, because a search is expensive.
        let keys = self.counted();
        loop_state.accounts.retain(|key, _| keys.contains(key));
        let mut keys: Vec<AccountKey> = keys.into_iter().collect();
        // Models of one provider share its permits. The account whose jobs were resumed longest ago comes first.
        keys.sort_by_key(|key| {
            loop_state
                .accounts
                .get(key)
                .and_then(|state| state.resumed_at)
        });
        let mut has_resumed = false;
        for key in &keys {
            let state = loop_state.accounts.entry(key.clone()).or_default();
            match self.resume_some(key, state).await {
                Ok(true) => {
                    state.resumed_at = Some(Instant::now());
                    has_resumed = true;
                }
                Ok(false) => {}
                // An error of one account must not delay the jobs of other accounts.
                Err(error) => {
                    tracing::debug!(account = %key, %error, "jobs that wait for a provider were not resumed; the next pass tries again");
                }
            }
        }
        has_resumed
    }

    /// Resumes as many jobs of an account as it has permits for. Returns whether it resumed any.
    async fn resume_some(
        &self,
        key: &AccountKey,
        state: &mut AccountState,
    ) -> Result<bool, StoreError> {
        let permits = self.accounts.available_for_wakes(key, RESUMES_MAX);
        if permits == 0 {
            return Ok(false);
        }
        let limit = permits as usize;
        for (class, found) in [
            (Class::Interactive, &mut state.interactive),
            (Class::Batch, &mut state.batch),
        ] {
            let is_recent = |at: Instant| at.elapsed() < SEARCH_INTERVAL;
            if found.heads.len() < limit && !found.searched_at.is_some_and(is_recent) {
                let wanted = limit.max(SEARCHED_MIN);
                found.heads = self.store.deferred_heads(key, class, wanted).await?.into();
                found.searched_at = Some(Instant::now());
            }
        }
        if self.accounts.is_closed_for_wakes(key) {
            // If the provider always refuses one of the jobs, that job must not be each probe.
            state.interactive.move_any_to_front();
            state.batch.move_any_to_front();
        }
        let heads = choose(permits, state);
        let (granted, unused) = self.resume(key, heads).await?;
        if unused > 0 {
            // The jobs that were found have changed since. The next pass searches again.
            state.interactive = FoundHeads::default();
            state.batch = FoundHeads::default();
        }
        Ok(granted > unused)
    }

    /// The accounts for which jobs wait according to the counts, which are up to a second old.
    fn counted(&self) -> BTreeSet<AccountKey> {
        let counts = self.gauge.counts();
        let deferred = counts.iter().flat_map(|(counts, _)| &counts.deferred);
        deferred.map(|count| count.account.clone()).collect()
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
        let granted = self.accounts.take_for_wakes(key, wanted).await?;
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

    /// Deletes accounts that are no longer needed, and removes the calls of processes that are gone from the others.
    async fn clean(&self, loop_state: &mut LoopState) {
        let is_recent = |at: Instant| at.elapsed() < CLEAN_INTERVAL;
        if loop_state.cleaned_at.is_some_and(is_recent) {
            return;
        }
        loop_state.cleaned_at = Some(Instant::now());
        let mut result = self.accounts.remove_forgettable().await;
        if let Some(live) = self.presence.live_processes() {
            let forgotten = self
                .forget_calls_of_gone(&live, &mut loop_state.missing)
                .await;
            result = result.and(forgotten);
        }
        if let Err(error) = result {
            tracing::debug!(%error, "the accounts of the providers were not cleaned; trying again in 1 s");
        }
    }

    /// Removes the calls of processes that are gone from the counts of calls in flight. A process is gone if two lists of
    /// live processes lack it, because a process that has just started may be missing in one.
    async fn forget_calls_of_gone(
        &self,
        live: &LiveProcesses,
        missing: &mut BTreeMap<ProcessId, TimeMs>,
    ) -> Result<(), StoreError> {
        let missing_before = std::mem::take(missing);
        for (key, account) in self.accounts.all() {
            for process in account.in_flight.into_keys() {
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

/// The heads to resume with these permits, the oldest of each class first.
fn choose(permits: u32, state: &mut AccountState) -> Vec<DeferredHead> {
    let limit = permits as usize;
    state.permits_since_batch += permits;
    let share = (state.permits_since_batch / BATCH_SHARE_DIVISOR) as usize;
    state.permits_since_batch %= BATCH_SHARE_DIVISOR;
    let for_batch = share.max(limit.saturating_sub(state.interactive.heads.len()));
    let mut heads: Vec<DeferredHead> = state.batch.take(for_batch.min(limit)).collect();
    let left = limit - heads.len();
    heads.extend(state.interactive.take(left));
    heads
}
