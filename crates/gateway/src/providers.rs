//! `GET /v1/providers`: which providers may be called now, at which rate, and how many jobs wait for them. It shows the
//! accounts of the store, and those for which jobs wait.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use forebay_shared::{
    account::{Account, AccountKey, ClosedBy, Closing, ConfiguredLimits, Phase},
    class::Class,
    job::JobError,
    store::{ACCOUNTS_MAX, Counts},
    time::TimeMs,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{json_response::Json, problem::Problem, state::ApiState};

/// The accounts of providers, ordered by their names.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Providers {
    providers: Vec<AccountView>,
}

/// An account as the API shows it. A field without a value is null. `closed_by`, `closed_since`, `closed_until` and `error`
/// are null if the account is open.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProviderAccount")]
struct AccountView {
    name: AccountKey,
    #[schemars(extend("enum" = ["open", "closed", "probing"]))]
    phase: &'static str,
    closed_by: Option<ClosedBy>,
    #[schemars(extend("format" = "date-time"))]
    closed_since: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    closed_until: Option<String>,
    error: Option<JobError>,
    calls_per_s: Option<f64>,
    limits: LimitsView,
    /// The most calls in flight. Null if they are not limited.
    concurrency: Option<u32>,
    /// Null if calls are not counted, because their number is not limited.
    in_flight: Option<u64>,
    waiting: WaitingView,
}

/// The configured limits, under the names of the providers file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProviderLimits")]
struct LimitsView {
    rpm: Option<u32>,
    tpm: Option<u32>,
    concurrency: Option<u32>,
}

/// The jobs that wait for an account, by class. The jobs behind them in their sessions do not count.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "WaitingJobs")]
struct WaitingView {
    interactive: u64,
    batch: u64,
}

/// Shows the accounts, ordered by their names, at most [`ACCOUNTS_MAX`].
pub(crate) async fn get(State(state): State<Arc<ApiState>>) -> Result<Json<Providers>, Problem> {
    let counts = state.counts().await?;
    let accounts = state.member.accounts.all();
    let now = state.member.store.now();
    Ok(Json(view(accounts, &counts, now, &|time| state.show(time))))
}

fn view(
    accounts: Vec<(AccountKey, Account)>,
    counts: &Counts,
    now: TimeMs,
    show: &dyn Fn(TimeMs) -> String,
) -> Providers {
    let mut accounts: BTreeMap<AccountKey, Account> = accounts.into_iter().collect();
    let mut waiting: BTreeMap<AccountKey, WaitingView> = BTreeMap::new();
    for count in &counts.deferred {
        // The jobs of a model wait for its provider too.
        let provider = AccountKey::of_provider(count.account.provider());
        let has_provider = provider != count.account && accounts.contains_key(&provider);
        let provider = has_provider.then_some(provider);
        for key in provider.into_iter().chain([count.account.clone()]) {
            let waiting = waiting.entry(key).or_default();
            *match count.class {
                Class::Interactive => &mut waiting.interactive,
                Class::Batch => &mut waiting.batch,
            } += count.heads;
        }
    }
    for key in waiting.keys() {
        accounts.entry(key.clone()).or_default();
    }
    let shown = accounts.into_iter().take(ACCOUNTS_MAX);
    Providers {
        providers: shown
            .map(|(name, account)| {
                let waiting = waiting.get(&name).copied().unwrap_or_default();
                account_view(name, account, waiting, now, show)
            })
            .collect(),
    }
}

fn account_view(
    name: AccountKey,
    account: Account,
    waiting: WaitingView,
    now: TimeMs,
    show: &dyn Fn(TimeMs) -> String,
) -> AccountView {
    let calls_per_s = account.known_calls_per_second(now);
    let ConfiguredLimits {
        requests_per_minute,
        tokens_per_minute,
        concurrency,
    } = account.configured;
    let in_flight = account.in_flight.values().map(|calls| u64::from(*calls));
    let allowed = account.concurrency();
    let in_flight = allowed.map(|_| in_flight.sum());
    let (phase, closing) = match account.phase {
        Phase::Open => ("open", None),
        Phase::Closed(closing) => ("closed", Some(closing)),
        Phase::Probing(closing) => ("probing", Some(closing)),
    };
    let time_of = |time: fn(&Closing) -> TimeMs| closing.as_ref().map(|at| show(time(at)));
    AccountView {
        name,
        phase,
        closed_by: closing.as_ref().map(|closing| closing.cause),
        closed_since: time_of(|closing| closing.since),
        closed_until: time_of(|closing| closing.until),
        error: closing.map(|closing| closing.error),
        // Four decimal places, because a rate may be as low as one call an hour.
        calls_per_s: calls_per_s.map(|rate| (rate * 10_000.0).round() / 10_000.0),
        limits: LimitsView {
            rpm: requests_per_minute,
            tpm: tokens_per_minute,
            concurrency,
        },
        concurrency: allowed,
        in_flight,
        waiting,
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        account::{
            Account, AccountEvent, AccountKey, ClosedBy, ConfiguredBy, ConfiguredLimits, Refusal,
        },
        class::Class,
        ids::ProcessId,
        job::JobError,
        store::{ACCOUNTS_MAX, Counts, DeferredCount},
        time::TimeMs,
    };
    use serde_json::{Value, json};

    use super::view;

    fn counts(accounts: impl Iterator<Item = AccountKey>) -> Counts {
        let deferred = accounts.map(|account| DeferredCount {
            account,
            class: Class::Batch,
            heads: 7,
            jobs: 9,
        });
        Counts {
            deferred: deferred.collect(),
            ..Counts::default()
        }
    }

    fn shown(accounts: Vec<(AccountKey, Account)>, counts: &Counts) -> Value {
        serde_json::to_value(view(accounts, counts, TimeMs(2_000), &TimeMs::rfc3339))
            .expect("the view is JSON")
    }

    #[test]
    fn an_account_without_limits_is_shown_if_jobs_wait_for_it() {
        let counts = counts([AccountKey::of_provider("free")].into_iter());
        let expected = json!({"providers": [{
            "name": "free", "phase": "open", "closed_by": null, "closed_since": null,
            "closed_until": null, "error": null, "calls_per_s": null,
            "limits": {"rpm": null, "tpm": null, "concurrency": null}, "concurrency": null, "in_flight": null,
            "waiting": {"interactive": 0, "batch": 7},
        }]});
        assert_eq!(shown(Vec::new(), &counts), expected);
    }

    #[test]
    fn a_closed_account_shows_why_and_its_limits() {
        let mut account = Account::default();
        let limits = ConfiguredLimits {
            requests_per_minute: Some(90),
            tokens_per_minute: None,
            concurrency: Some(5),
        };
        let by = ConfiguredBy {
            started_at: TimeMs(1_000),
            process: ProcessId::fresh("worker"),
        };
        let take = AccountEvent::Take {
            calls: 1,
            process: ProcessId::fresh("worker"),
            more_wait: false,
        };
        let refusal = Refusal {
            cause: ClosedBy::RateLimit,
            taken_at: TimeMs(1_000),
            overload_calls: None,
            retry_after_ms: Some(59_000),
            limits: None,
            error: JobError::new("rate_limited", "slow down"),
            random: 0.5,
        };
        for event in [
            AccountEvent::Configured { limits, by },
            take,
            AccountEvent::Refused(refusal),
        ] {
            account.apply(&event, TimeMs(1_000));
        }
        let key = AccountKey::of_model("openai", "gpt-5");
        let expected = json!({"providers": [{
            "name": "openai/gpt-5", "phase": "closed", "closed_by": "rate_limit",
            "closed_since": "1970-01-01T00:00:01.000Z", "closed_until": "1970-01-01T00:01:00.000Z",
            "error": {"code": "rate_limited", "message": "slow down"}, "calls_per_s": 1.5,
            "limits": {"rpm": 90, "tpm": null, "concurrency": 5}, "concurrency": 5, "in_flight": 1,
            "waiting": {"interactive": 0, "batch": 0},
        }]});
        assert_eq!(shown(vec![(key, account)], &Counts::default()), expected);
    }

    #[test]
    fn the_number_of_shown_accounts_is_bounded() {
        let names = (0..=ACCOUNTS_MAX).map(|n| AccountKey::of_provider(&format!("p{n}")));
        let shown = shown(Vec::new(), &counts(names));
        assert_eq!(
            shown["providers"].as_array().map(Vec::len),
            Some(ACCOUNTS_MAX)
        );
    }
}
