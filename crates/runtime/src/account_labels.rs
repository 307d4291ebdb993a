//! The labels of accounts. Clients can name any model, and a model that its provider limits has an account, so the labels must
//! be bounded, also over time.
//!
//! The account of a provider always has its own label: the configuration names all providers. The accounts of models get labels
//! in the order in which they appear, up to a bound. All further models of a provider share the label `PROVIDER/other`. The label
//! of an account that is gone stays reserved for an hour, so clients cannot make new labels faster than the bound in each hour.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use forebay_shared::account::AccountKey;
use tokio::time::Instant;

/// The most accounts of models that have a label of their own.
const MODELS_MAX: usize = 100;
/// How long the label of an account that is gone stays reserved.
const RESERVED_FOR: Duration = Duration::from_secs(3_600);
/// The most characters of a label.
const LABEL_CHARS_MAX: usize = 300;
/// The model in the label of all models without a label of their own.
const OTHER: &str = "other";

/// Gives labels to accounts.
#[derive(Debug, Default)]
pub(crate) struct AccountLabels {
    /// The accounts of models with a label, and when each was last seen.
    seen: Mutex<HashMap<AccountKey, Instant>>,
}

impl AccountLabels {
    /// The accounts that exist now, by label, in the order of the labels.
    pub(crate) fn group<T>(
        &self,
        accounts: Vec<(AccountKey, T)>,
    ) -> Vec<(String, Vec<(AccountKey, T)>)> {
        let mut groups: BTreeMap<String, Vec<(AccountKey, T)>> = BTreeMap::new();
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // First, marks the accounts that have a label as seen, so that they keep it.
        for (key, _) in &accounts {
            if let Some(at) = seen.get_mut(key) {
                *at = now;
            }
        }
        seen.retain(|_, at| now.duration_since(*at) < RESERVED_FOR);
        for (key, account) in accounts {
            let label = label_of(&key, &mut seen, now);
            groups.entry(label).or_default().push((key, account));
        }
        groups.into_iter().collect()
    }
}

/// Whether all accounts with this label are one account.
pub(crate) fn is_of_one_account(label: &str) -> bool {
    label
        .split_once('/')
        .is_none_or(|(_, model)| model != OTHER)
}

fn label_of(key: &AccountKey, seen: &mut HashMap<AccountKey, Instant>, now: Instant) -> String {
    let name = key.as_str();
    if !name.contains('/') {
        return name.to_owned();
    }
    let is_short = name.chars().nth(LABEL_CHARS_MAX).is_none();
    let may_be_labelled = is_short && is_of_one_account(name);
    if may_be_labelled && (seen.contains_key(key) || seen.len() < MODELS_MAX) {
        seen.insert(key.clone(), now);
        return name.to_owned();
    }
    format!("{}/{OTHER}", key.provider())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use forebay_shared::account::AccountKey;
    use tokio::time::advance;

    use super::{AccountLabels, MODELS_MAX};

    fn models(from: usize, to: usize) -> Vec<(AccountKey, usize)> {
        let models = from..to;
        models
            .map(|number| {
                (
                    AccountKey::of_model("local", &format!("m-{number}")),
                    number,
                )
            })
            .collect()
    }

    fn labels(labels: &AccountLabels, accounts: Vec<(AccountKey, usize)>) -> Vec<String> {
        let groups = labels.group(accounts).into_iter();
        groups.map(|(label, _)| label).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn many_models_share_a_label_and_each_provider_has_its_own() {
        let of = AccountLabels::default();
        let mut accounts = models(0, 1_000);
        accounts.push((AccountKey::of_provider("local"), 0));
        accounts.push((AccountKey::of_model("acme", "other"), 0));
        let groups = of.group(accounts);
        assert_eq!(groups.len(), MODELS_MAX + 3);
        let members = |label: &str| {
            let group = groups.iter().find(|(other, _)| other == label);
            group.map(|(_, members)| members.len())
        };
        assert_eq!(members("local"), Some(1));
        assert_eq!(members("local/m-0"), Some(1));
        assert_eq!(members("local/other"), Some(1_000 - MODELS_MAX));
        assert_eq!(members("acme/other"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_that_come_and_go_get_a_bounded_number_of_labels_in_an_hour() {
        let of = AccountLabels::default();
        let mut all = HashSet::new();
        for second in 0..3_000 {
            // Three new models, whose names sort before `zz-real`, and `zz-real` itself.
            let number = second * 3;
            let mut accounts = models(number, number + 3);
            accounts.push((AccountKey::of_model("local", "zz-real"), 0));
            let shown = labels(&of, accounts);
            assert!(shown.iter().any(|label| label == "local/zz-real"));
            all.extend(shown);
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(all.len(), MODELS_MAX + 1);
        // An hour later, the labels of the accounts that are gone are free.
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(labels(&of, models(90_000, 90_001)), ["local/m-90000"]);
    }
}
