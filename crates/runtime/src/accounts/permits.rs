//! The permits of calls: taken for one call of this process, or taken by the sweeper for the wakes of jobs.

use forebay_shared::{
    account::{AccountEvent, AccountKey, Phase},
    ids::ProcessId,
    store::StoreError,
    time::TimeMs,
    wake::WakePermit,
};

use super::handle::{Accounts, Denied};

/// The permits of one call, one of each of its accounts. One of [`end`](Self::end), [`end_unanswered`](Self::end_unanswered) and
/// [`not_used`](Self::not_used) ends their use. If none is called, for example after a panic, the store's count is corrected
/// within about a second.
pub struct CallPermits {
    accounts: Accounts,
    asked: Vec<AskedAccount>,
}

/// A permit that came with a wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPermit {
    /// The permit.
    pub permit: WakePermit,
    /// A time at or shortly after the taking of the permit. A worker uses the time at which the wake was sent. With an earlier
    /// time, the account would not recognise the permit of a probe: it would take it for one from before the closing.
    pub taken_at: TimeMs,
}

/// An account that was asked for a permit of a call.
struct AskedAccount {
    key: AccountKey,
    /// Whether the call still has a permit of the account. False if the account denied one, and if the store did not respond, so
    /// that the call is made without a permit.
    has_permit: bool,
    /// A time at or shortly after the taking of the permit ([`HeldPermit::taken_at`]).
    taken_at: TimeMs,
}

impl Accounts {
    /// Takes the permits for one call. Accounts without limits give them without a request to the store. `held` is a
    /// permit that came with the job's wake. It is given back if the call is denied, or if the account has closed since it was
    /// taken.
    ///
    /// If the store does not respond, the call is allowed. If the provider refuses that call, no try is spent.
    ///
    /// # Errors
    /// The account that has no permit.
    pub async fn take(
        &self,
        keys: impl Iterator<Item = &AccountKey>,
        held: Option<&HeldPermit>,
    ) -> Result<CallPermits, Denied> {
        let mut needed = Vec::new();
        for key in keys {
            let mut held = held.filter(|held| held.permit.covers(key));
            if let Some(HeldPermit { permit, taken_at }) = held
                && self.has_closed_since(key, *taken_at)
            {
                self.give_back(key, &permit.process, 1, *taken_at).await;
                held = None;
            }
            needed.push((key, held));
        }
        let mut permits = CallPermits {
            accounts: self.clone(),
            asked: Vec::with_capacity(needed.len()),
        };
        // Checked before any permit is taken, so that few permits have to be given back.
        let is_used_up =
            |(key, held): &&(&AccountKey, Option<_>)| held.is_none() && self.available(key, 1) == 0;
        let mut denied = needed.iter().find(is_used_up).map(|(key, _)| *key);
        for (key, held) in &needed {
            if denied.is_none() && !self.take_one(key, *held, &mut permits).await {
                denied = Some(key);
                if let Some(HeldPermit { permit, taken_at }) = held {
                    self.give_back(key, &permit.process, 1, *taken_at).await;
                }
            }
        }
        let Some(denied) = denied else {
            return Ok(permits);
        };
        for (key, held) in &needed[permits.asked.len()..] {
            if let Some(HeldPermit { permit, taken_at }) = held {
                self.give_back(key, &permit.process, 1, *taken_at).await;
            }
        }
        permits.not_used().await;
        Err(self.denied(denied))
    }

    /// Whether the account has closed at or after this time and is not open again. Permits that were taken until the closing are no
    /// longer valid.
    fn has_closed_since(&self, key: &AccountKey, taken_at: TimeMs) -> bool {
        match &self.shared.cache.get(key).account.phase {
            Phase::Closed(closing) | Phase::Probing(closing) => closing.since >= taken_at,
            Phase::Open => false,
        }
    }

    /// Takes the permit of one account. Returns whether the call is allowed.
    async fn take_one(
        &self,
        key: &AccountKey,
        held: Option<&HeldPermit>,
        permits: &mut CallPermits,
    ) -> bool {
        self.shared.calls.begin(key);
        let more_wait = false;
        let granted = match held {
            Some(held) => self.move_here(key, &held.permit).await,
            None => self.grant(key, 1, more_wait).await,
        };
        let has_permit = matches!(granted, Ok(1..));
        if has_permit {
            self.shared.calls.record_counted(key);
        }
        if let Err(error) = &granted {
            tracing::debug!(account = %key, %error, "a permit could not be taken; the provider is called without one");
        }
        permits.asked.push(AskedAccount {
            key: key.clone(),
            has_permit,
            // Read after the grant, which can take some time.
            taken_at: held.map_or_else(|| self.shared.store.now(), |held| held.taken_at),
        });
        !matches!(granted, Ok(0))
    }

    /// Takes up to `calls` permits of this account for wakes, and as many of its provider's account. Returns that number.
    /// `more_wait`: more jobs wait than `calls`.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not confirm the change.
    pub async fn take_for_wakes(
        &self,
        key: &AccountKey,
        calls: u32,
        more_wait: bool,
    ) -> Result<u32, StoreError> {
        let mut granted = calls;
        let mut taken: Vec<(&AccountKey, u32)> = Vec::new();
        let provider = AccountKey::of_provider(key.provider());
        let is_model = provider != *key;
        for account in std::iter::once(key).chain(is_model.then_some(&provider)) {
            if self.counts_calls(account) {
                self.shared.calls.add_wake_permits(account, granted);
            }
            let result = self.grant(account, granted, more_wait).await;
            granted = result.as_ref().map_or(0, |granted| *granted);
            for (earlier, permits) in &mut taken {
                let (process, now) = (&self.shared.process, self.shared.store.now());
                self.give_back(earlier, process, *permits - granted, now)
                    .await;
                *permits = granted;
            }
            taken.push((account, granted));
            result?;
        }
        Ok(granted)
    }

    /// Gives back permits of [`take_for_wakes`](Self::take_for_wakes) that are not used.
    pub async fn give_back_for_wakes(&self, held: &HeldPermit, calls: u32) {
        let HeldPermit { permit, taken_at } = held;
        let provider = AccountKey::of_provider(permit.account.provider());
        let is_model = provider != permit.account;
        for key in std::iter::once(&permit.account).chain(is_model.then_some(&provider)) {
            self.give_back(key, &permit.process, calls, *taken_at).await;
        }
    }

    /// How many permits [`take_for_wakes`](Self::take_for_wakes) would grant now, at most `calls`, as of the last read.
    #[must_use]
    pub fn available_for_wakes(&self, key: &AccountKey, calls: u32) -> u32 {
        let calls = self.available(key, calls);
        let provider = AccountKey::of_provider(key.provider());
        self.available(&provider, calls)
    }

    /// Whether the account or its provider's account is closed or probing, as of the last read. The next permit may be a
    /// probe's.
    #[must_use]
    pub fn is_closed_for_wakes(&self, key: &AccountKey) -> bool {
        let provider = AccountKey::of_provider(key.provider());
        let mut phases = [key, &provider]
            .map(|key| self.shared.cache.get(key).account.phase.clone())
            .into_iter();
        phases.any(|phase| phase != Phase::Open)
    }

    /// Counts a call under this process, although another process took its permit.
    async fn move_here(&self, key: &AccountKey, permit: &WakePermit) -> Result<u32, StoreError> {
        if !self.counts_calls(key) {
            return Ok(1);
        }
        let moved = AccountEvent::Moved {
            from: permit.process.clone(),
            to: self.shared.process.clone(),
        };
        Ok(self.apply(key, moved).await?.granted)
    }

    /// Gives back permits that were not used.
    async fn give_back(&self, key: &AccountKey, process: &ProcessId, calls: u32, taken_at: TimeMs) {
        if calls == 0 || !self.is_limited(key) {
            return;
        }
        let not_used = AccountEvent::NotUsed {
            process: process.clone(),
            calls,
            taken_at,
        };
        if let Err(error) = self.apply(key, not_used).await {
            tracing::debug!(account = %key, %error, "unused permits could not be given back; they become free later");
        }
    }

    /// How many calls of the account this process has in flight.
    #[must_use]
    pub fn calls_in_flight(&self, key: &AccountKey) -> u32 {
        self.shared.calls.in_flight(key)
    }

    /// Whether the account counts calls in flight.
    fn counts_calls(&self, key: &AccountKey) -> bool {
        self.shared.cache.get(key).account.counts_calls()
    }

    /// Corrects the counts of this process's calls in the store, because permits or events may be lost. Costs no request
    /// for a count that is right.
    pub(super) async fn correct_counts(&self) {
        for (key, cached) in self.shared.cache.all() {
            if !cached.account.counts_calls() {
                continue;
            }
            let process = self.shared.process.clone();
            let in_flight = &cached.account.in_flight;
            let in_flight = in_flight.get(&process).copied().unwrap_or_default();
            // Read after the cache. Otherwise a call that begins between the two reads would look like a wrong count.
            let (least, most) = self.shared.calls.bounds(&key);
            if (least..=most).contains(&in_flight) {
                continue;
            }
            let event = AccountEvent::InFlight {
                process,
                least,
                most,
            };
            if let Err(error) = self.apply(&key, event).await {
                tracing::debug!(account = %key, %error, "the count of calls in flight is not corrected yet; trying again in 1 s");
            }
        }
    }
}

impl CallPermits {
    /// The earliest [`taken_at`](HeldPermit::taken_at) of the permits, by the store's clock.
    #[must_use]
    pub fn taken_at(&self) -> TimeMs {
        let taken_at = self.asked.iter().map(|asked| asked.taken_at).min();
        taken_at.unwrap_or_else(|| self.accounts.shared.store.now())
    }

    /// Records that the call ended. Only accounts with a limit on calls in flight need it.
    pub async fn end(mut self) {
        let Accounts { shared } = self.accounts.clone();
        for (key, _) in self.take_out() {
            if !self.accounts.counts_calls(&key) {
                continue;
            }
            let ended = AccountEvent::Ended {
                process: shared.process.clone(),
                calls: 1,
            };
            if let Err(error) = self.accounts.apply(&key, ended).await {
                tracing::debug!(account = %key, %error, "the end of a call is not counted yet; it is counted within seconds");
            }
        }
    }

    /// Records that the call was made, and ended without an answer.
    pub async fn end_unanswered(mut self) {
        let Accounts { shared } = self.accounts.clone();
        let asked = self.asked.iter();
        let keys: Vec<_> = asked
            .map(|asked| (asked.key.clone(), asked.taken_at))
            .collect();
        let taken_out = self.take_out();
        for (key, taken_at) in keys {
            let had_permit = taken_out.iter().any(|(other, _)| *other == key);
            let is_counted = had_permit && self.accounts.counts_calls(&key);
            // An account that counts no calls is changed only while it is probing, because this call may be its probe.
            let is_probing = matches!(shared.cache.get(&key).account.phase, Phase::Probing(_));
            if !is_probing && !is_counted {
                continue;
            }
            let ended = AccountEvent::EndedUnanswered {
                process: shared.process.clone(),
                calls: u32::from(is_counted),
                taken_at,
            };
            if let Err(error) = self.accounts.apply(&key, ended).await {
                tracing::debug!(account = %key, %error, "the end of a call is not counted yet; it is counted within seconds");
            }
        }
    }

    /// Records that the call is not made.
    pub async fn not_used(mut self) {
        let Accounts { shared } = self.accounts.clone();
        for (key, taken_at) in self.take_out() {
            self.accounts
                .give_back(&key, &shared.process, 1, taken_at)
                .await;
        }
    }

    /// Takes the permits out of this value, because the store learns next that they ended or were not used. Returns their accounts
    /// and their `taken_at`.
    fn take_out(&mut self) -> Vec<(AccountKey, TimeMs)> {
        let calls = &self.accounts.shared.calls;
        let permitted = self.asked.iter_mut().filter(|asked| asked.has_permit);
        permitted
            .map(|asked| {
                asked.has_permit = false;
                calls.record_uncounted(&asked.key);
                (asked.key.clone(), asked.taken_at)
            })
            .collect()
    }
}

impl Drop for CallPermits {
    fn drop(&mut self) {
        let calls = &self.accounts.shared.calls;
        for asked in &self.asked {
            if asked.has_permit {
                calls.record_uncounted(&asked.key);
            }
            calls.end(&asked.key);
        }
    }
}
