//! The metrics of provider accounts, which gateways report. All of them describe the whole fleet.
//!
//! An account that is gone is left out. Without recent counts, all accounts are left out, because a gateway that has lost the store
//! must not report what it knew before.

use std::{collections::HashSet, sync::Arc};

use forebay_metrics::sampled::{Labels, flag, number};
use forebay_shared::{
    account::{Account, AccountKey, Phase},
    store::{Counts, Store},
};

use crate::{
    account_labels::{AccountLabels, is_of_one_account},
    accounts::Accounts,
    fleet_metrics::recent_counts,
    gauge::Gauge,
    member::Member,
};

/// The accounts with one label.
type Group = (String, Vec<(AccountKey, Account)>);

/// Where the values come from.
#[derive(Clone)]
struct Source {
    accounts: Accounts,
    gauge: Arc<Gauge>,
    labels: Arc<AccountLabels>,
}

impl Source {
    /// The accounts by label, and the counts. `None` without recent counts.
    fn read(&self) -> Option<(Vec<Group>, Arc<Counts>)> {
        let counts = recent_counts(&self.gauge)?;
        Some((self.labels.group(self.accounts.all()), counts))
    }

    /// At most one value for each label.
    fn values(&self, value: impl Fn(&Group, &Counts) -> Option<f64>) -> Vec<(Labels, f64)> {
        let Some((groups, counts)) = self.read() else {
            return Vec::new();
        };
        let values = groups
            .iter()
            .filter_map(|group| Some((account_label(&group.0), value(group, &counts)?)));
        values.collect()
    }
}

impl Member {
    /// Registers the fleet-wide metrics of provider accounts, which gateways report.
    pub fn register_account_metrics(&self) {
        let metrics = &self.metrics;
        let source = Source {
            accounts: self.accounts.clone(),
            gauge: Arc::clone(&self.gauge),
            labels: Arc::default(),
        };
        let of = source.clone();
        metrics.sampled_gauge(
            "forebay_provider_account_phase",
            "Whether the provider of an account may be called: 1 for the current phase",
            move || {
                let groups = of.read().map_or_else(Vec::new, |(groups, _)| groups);
                groups.iter().flat_map(phases).collect()
            },
        );
        let (of, store): (_, Arc<dyn Store>) = (source.clone(), Arc::clone(&self.store));
        metrics.sampled_gauge(
            "forebay_provider_account_rate",
            "Calls a second that an account allows, configured or learned; left out without a limit",
            move || {
                let now = store.now();
                of.values(|(label, accounts), _| {
                    let (_, account) = accounts.first()?;
                    is_of_one_account(label)
                        .then(|| account.calls_per_second(now))
                        .flatten()
                })
            },
        );
        let of = source.clone();
        metrics.sampled_gauge(
            "forebay_provider_account_in_flight",
            "Calls in flight of an account, counted while they are limited",
            move || of.values(|(_, accounts), _| Some(number(in_flight(accounts)))),
        );
        metrics.sampled_gauge(
            "forebay_provider_account_waiting",
            "Jobs that wait for an account, those behind them in their sessions included",
            move || source.values(|(_, accounts), counts| Some(number(waiting(counts, accounts)))),
        );
    }
}

/// The phase of the accounts with one label: closed if one is closed, or else probing if one is probing.
fn phases((label, accounts): &Group) -> [(Labels, f64); 3] {
    let any = |is_in: fn(&Phase) -> bool| {
        let mut phases = accounts.iter().map(|(_, account)| &account.phase);
        phases.any(is_in)
    };
    let is_closed = any(|phase| matches!(phase, Phase::Closed(_)));
    let is_probing = !is_closed && any(|phase| matches!(phase, Phase::Probing(_)));
    [
        ("open", !is_closed && !is_probing),
        ("probing", is_probing),
        ("closed", is_closed),
    ]
    .map(|(phase, is_current)| {
        let mut labels = account_label(label);
        labels.push(("phase", phase.into()));
        (labels, flag(is_current))
    })
}

/// The calls in flight of these accounts. Summed as integers: the sum of no floats is -0.
fn in_flight(accounts: &[(AccountKey, Account)]) -> u64 {
    let calls = accounts
        .iter()
        .flat_map(|(_, account)| account.in_flight.values());
    calls.map(|calls| u64::from(*calls)).sum()
}

/// The jobs that wait for these accounts.
fn waiting(counts: &Counts, accounts: &[(AccountKey, Account)]) -> u64 {
    let keys: HashSet<&AccountKey> = accounts.iter().map(|(key, _)| key).collect();
    let deferred = counts.deferred.iter();
    let of_accounts = deferred.filter(|count| keys.contains(&count.account));
    of_accounts.map(|count| count.jobs).sum()
}

fn account_label(label: &str) -> Labels {
    vec![("account", label.to_owned())]
}

#[cfg(test)]
mod tests {
    use forebay_shared::account::{Account, AccountKey};

    use super::{in_flight, phases};

    #[test]
    fn an_account_without_calls_has_0_of_them() {
        assert_eq!(in_flight(&[]), 0);
        let account = (AccountKey::of_provider("acme"), Account::default());
        let phases = phases(&(String::from("acme"), vec![account]));
        assert_eq!(phases.map(|(_, value)| value), [1.0, 0.0, 0.0]);
    }
}
