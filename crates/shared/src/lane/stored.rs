//! The stored form of an entry. Its state is stored as `{"queued": {…}}` or `{"running": {…}}`. Unknown fields of the
//! entry and of its state are kept, even if the state changes.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};

use super::{Deferral, Entry, State};
use crate::{
    account::AccountKey,
    class::Class,
    document::UnknownFields,
    ids::{JobId, ProcessId},
    job::{Attempt, JobError},
    time::TimeMs,
};

/// An entry in its stored form, as it is read.
#[derive(Deserialize)]
struct StoredEntry {
    job: JobId,
    class: Class,
    #[serde(default)]
    model: Option<String>,
    fence: u64,
    #[serde(rename = "settled")]
    settled_fence: u64,
    state: StoredState,
    deadline: TimeMs,
    #[serde(rename = "tool_results")]
    is_tool_results: bool,
    claimed: bool,
    tries: u32,
    takeovers: u32,
    admitted_at: TimeMs,
    started_at: Option<TimeMs>,
    #[serde(default)]
    attempts: Vec<Attempt>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Queued {
        not_before: Option<TimeMs>,
        #[serde(default)]
        provider_wait: Option<ProviderWait>,
        #[serde(flatten)]
        unknown: UnknownFields,
    },
    Running {
        worker: ProcessId,
        until: TimeMs,
        /// An older release keeps this object when it claims the job. It is dropped: as an unknown field it would be written
        /// twice with the next deferral, and no process could read the lane.
        #[serde(default, rename = "provider_wait")]
        _provider_wait: IgnoredAny,
        #[serde(flatten)]
        unknown: UnknownFields,
    },
}

/// What a deferred job waits for. The state of such a job is stored as queued until `not_before`, which an older release can read.
/// The older release may wake the job at `not_before`, and keeps this object then.
#[derive(Deserialize)]
struct ProviderWait {
    account: AccountKey,
    error: JobError,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredEntry::deserialize(deserializer)?;
        let (state, unknown_in_state) = match stored.state {
            StoredState::Queued {
                not_before: Some(until),
                provider_wait: Some(ProviderWait { account, error }),
                unknown,
            } => {
                let deferral = Deferral {
                    account,
                    error,
                    until,
                };
                (State::Deferred(Box::new(deferral)), unknown)
            }
            // Without a `not_before`, `provider_wait` is ignored: an older release has woken the deferred job, and kept this object.
            StoredState::Queued {
                not_before,
                unknown,
                ..
            } => (State::Queued { not_before }, unknown),
            StoredState::Running {
                worker,
                until,
                unknown,
                ..
            } => (State::Running { worker, until }, unknown),
        };
        Ok(Self {
            job: stored.job,
            class: stored.class,
            model: stored.model,
            fence: stored.fence,
            settled_fence: stored.settled_fence,
            state,
            deadline: stored.deadline,
            is_tool_results: stored.is_tool_results,
            claimed: stored.claimed,
            tries: stored.tries,
            takeovers: stored.takeovers,
            admitted_at: stored.admitted_at,
            started_at: stored.started_at,
            attempts: stored.attempts,
            unknown: stored.unknown,
            unknown_in_state,
        })
    }
}

/// An entry in its stored form, as it is written: with borrowed fields.
#[derive(Serialize)]
struct EntryToStore<'a> {
    job: JobId,
    class: Class,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    fence: u64,
    #[serde(rename = "settled")]
    settled_fence: u64,
    state: StateToStore<'a>,
    deadline: TimeMs,
    #[serde(rename = "tool_results")]
    is_tool_results: bool,
    claimed: bool,
    tries: u32,
    takeovers: u32,
    admitted_at: TimeMs,
    started_at: Option<TimeMs>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempt],
    #[serde(flatten)]
    unknown: &'a UnknownFields,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum StateToStore<'a> {
    Queued {
        not_before: Option<TimeMs>,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_wait: Option<ProviderWaitToStore<'a>>,
        #[serde(flatten)]
        unknown: &'a UnknownFields,
    },
    Running {
        worker: &'a ProcessId,
        until: TimeMs,
        #[serde(flatten)]
        unknown: &'a UnknownFields,
    },
}

#[derive(Serialize)]
struct ProviderWaitToStore<'a> {
    account: &'a AccountKey,
    error: &'a JobError,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unknown = &self.unknown_in_state;
        EntryToStore {
            job: self.job,
            class: self.class,
            model: self.model.as_deref(),
            fence: self.fence,
            settled_fence: self.settled_fence,
            state: match &self.state {
                State::Queued { not_before } => StateToStore::Queued {
                    not_before: *not_before,
                    provider_wait: None,
                    unknown,
                },
                State::Deferred(deferral) => StateToStore::Queued {
                    not_before: Some(deferral.until),
                    provider_wait: Some(ProviderWaitToStore {
                        account: &deferral.account,
                        error: &deferral.error,
                    }),
                    unknown,
                },
                State::Running { worker, until } => StateToStore::Running {
                    worker,
                    until: *until,
                    unknown,
                },
            },
            deadline: self.deadline,
            is_tool_results: self.is_tool_results,
            claimed: self.claimed,
            tries: self.tries,
            takeovers: self.takeovers,
            admitted_at: self.admitted_at,
            started_at: self.started_at,
            attempts: &self.attempts,
            unknown: &self.unknown,
        }
        .serialize(serializer)
    }
}
