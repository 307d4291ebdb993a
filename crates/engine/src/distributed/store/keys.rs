//! The names of the keys. All keys that one commit touches contain the partition in braces. Redis Cluster uses the
//! text in braces as the hash tag, so these keys are on one node.
//!
//! | key | type | content |
//! | --- | --- | --- |
//! | `fb:{p}:l:LANE` | string | a lane: a line for the scripts ([`lane_document`](super::lane_document)), then JSON |
//! | `fb:{p}:j:JOB` | hash | a job's record: the fields `meta`, `request`, `keep_until` and `lane`; of an ended job also `outcome`, and `mark` (the summary of the outcome). A removed job has only `mark` |
//! | `fb:{p}:jl` | zset | the list of jobs: `TENANT\|CREATED\|JOB`, with the time of creation in 14 digits; all scores are 0. `fb:{p}:jl:checked` is the entry that was last checked for its record |
//! | `fb:{p}:t` | zset | timers: live jobs by the time of their timer |
//! | `fb:{p}:h` | zset | the index of the running and ready heads: each member is the head's code and then the lane's key; all scores are 0 |
//! | `fb:{p}:d:C\|ACCOUNT` | zset | the index of deferred heads of an account and class: lanes by the time of their head's admission |
//! | `fb:{p}:d` | hash | counts of deferred heads: `a\|C\|ACCOUNT` for an account, `t\|TENANT\|C` for a tenant |
//! | `fb:{p}:db` | hash | counts of the jobs behind deferred heads: `C\|ACCOUNT`, with the class of the head |
//! | `fb:{p}:w:TENANT\|C` | zset | queued jobs of a tenant and class, by time of admission |
//! | `fb:{p}:c` | hash | counts: `TENANT\|C\|X`; `#` counts the sessions with live jobs |
//! | `fb:{p}:s:TENANT/SESSION` | hash | a session: `created_at`, `updated_at`, `bytes`, `sent_bytes`, `input_tokens`, `dropped` (how many turns were dropped, or replaced by a write of the whole session), and `gaps` (see `turn_numbers.lua`); if a client has set them, `attributes`, `model` and `defaults`, and `written_by` (the result and the id of the last write of the whole session) |
//! | `fb:{p}:u:TENANT/SESSION` | list | the turns of a session. If its `bytes` is 0, the list is left from an earlier session |
//! | `fb:{p}:sl` | zset | the list of sessions: `TENANT\|CREATED\|SESSION`, with the time of creation in 14 digits; all scores are 0. `fb:{p}:sl:checked` is the entry that was last checked for its session |
//! | `fb:{p}:su`, `fb:{p}:sx` | zset | idle sessions (those without live jobs), by last use and by expiry |
//! | `fb:k:TENANT/KEY` | string | an idempotency key |
//! | `fb:accounts` | hash | the accounts of providers |
//! | `fb:{api-keys}` | hash | the API keys: documents by id. `fb:{api-keys}:used` has the times of their last uses, `fb:{api-keys}:version` the version of the set |
//! | `fb:tl` | hash | the limits of tenants, by tenant, and their version in the field `#` |
//! | `fb:tu:TENANT` | string | the usage of a tenant: its version in 32 hex digits, a line feed, and the usage as JSON |
//! | `fb:fleet:counts` | hash | the counts of the fleet: `counts` (JSON), `at` (the time of the sum), and `turn` (when a process last began to sum) |
//! | `fb:fleet:presence`, `fb:fleet:sweeper` | zset, string | presence: processes by the time of their last renewal; the elected sweeper |
//! | `fb:fleet:clock:{fb:fleet:presence}` | hash | the store's clock: `time`, the latest known time, and `shift`, the server's clock minus the store's clock |
//! | `fb:n:j:JOB`, `fb:n:w:PROCESS`, `fb:n:a` | channel | notices: of a job, of the calls of a worker, of the accounts |
//!
//! `p` is the partition in two hex digits. `C` is the class: `i` (interactive) or `b` (batch). `X` is one of `r` (ready), `f`
//! (in flight), `b` (behind its session), `w` (retry wait), `e` (ended). A head's code in `fb:{p}:h` is `r` if the head is
//! running, and the letter of the class if it is ready. Heads in other states (`d` and `-` in
//! [`lane_document`](super::lane_document)) are not in this index.
//!
//! The letters of keys, counts, codes and channels are independent: `b` is a class and a count.
//!
//! The counts of deferred heads and of the jobs behind them have hashes of their own, because an older process reports an error
//! for an unknown field of `fb:{p}:c` or `fb:{p}:d`.

use std::fmt::{self, Write as _};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, SessionId, TenantId},
    store::Topic,
};

/// Most keys have at most this many bytes.
const KEY_BYTES: usize = 96;

/// The names of all keys that begin with one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The prefix of all keys of a partition.
    pub(super) fn partition_prefix(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!(""))
    }

    /// A key of a partition.
    fn in_partition(&self, partition: u8, name: fmt::Arguments<'_>) -> String {
        let mut key = String::with_capacity(KEY_BYTES);
        // A write to a string cannot fail.
        let _always_ok = write!(key, "{}:{{{partition:02x}}}:{name}", self.prefix);
        key
    }

    /// A lane's document.
    pub(super) fn lane(&self, lane: &LaneKey) -> String {
        self.in_partition(lane.partition(), format_args!("l:{lane}"))
    }

    /// A job's record.
    pub(super) fn job(&self, job: JobId) -> String {
        self.in_partition(job.partition(), format_args!("j:{job}"))
    }

    /// The timers of a partition.
    pub(super) fn timers(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("t"))
    }

    /// The index of the running and ready heads of a partition.
    pub(super) fn heads(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("h"))
    }

    /// A partition's index of deferred heads with this [`deferred_name`].
    pub(super) fn deferred(&self, partition: u8, name: &str) -> String {
        self.in_partition(partition, format_args!("d:{name}"))
    }

    /// The list of the jobs of a partition.
    pub(super) fn listed_jobs(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("jl"))
    }

    /// The list of the sessions of a partition.
    pub(super) fn listed_sessions(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("sl"))
    }

    /// The counts of a partition.
    pub(super) fn counts(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("c"))
    }

    /// The session with this [`session_name`], in its partition.
    pub(super) fn session(&self, partition: u8, name: &str) -> String {
        self.in_partition(partition, format_args!("s:{name}"))
    }

    /// The index of a partition's idle sessions (those without live jobs), by last use.
    pub(super) fn sessions_by_use(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("su"))
    }

    /// The index of a partition's idle sessions, by expiry.
    pub(super) fn sessions_by_expiry(&self, partition: u8) -> String {
        self.in_partition(partition, format_args!("sx"))
    }

    /// An idempotency key.
    pub(super) fn idempotency(&self, tenant: &TenantId, key: &str) -> String {
        format!("{}:k:{tenant}/{key}", self.prefix)
    }

    /// The accounts of providers.
    pub(super) fn accounts(&self) -> String {
        format!("{}:accounts", self.prefix)
    }

    /// The API keys. The scripts add `:used` and `:version` to this name.
    pub(super) fn api_keys(&self) -> String {
        format!("{}:{{api-keys}}", self.prefix)
    }

    /// The version of the set of API keys.
    pub(super) fn api_keys_version(&self) -> String {
        format!("{}:version", self.api_keys())
    }

    /// The limits of tenants.
    pub(super) fn tenant_limits(&self) -> String {
        format!("{}:tl", self.prefix)
    }

    /// What a tenant has used of its limits.
    pub(super) fn tenant_usage(&self, tenant: &TenantId) -> String {
        format!("{}:tu:{tenant}", self.prefix)
    }

    /// The counts that one process has summed for all.
    pub(super) fn fleet_counts(&self) -> String {
        format!("{}:fleet:counts", self.prefix)
    }

    /// The presence of the processes: an index by the time of the last renewal.
    pub(super) fn presence(&self) -> String {
        format!("{}:fleet:presence", self.prefix)
    }

    /// The clock. Its hash tag is the key of the presence, because one script uses both.
    pub(super) fn clock(&self) -> String {
        format!("{}:fleet:clock:{{{}}}", self.prefix, self.presence())
    }

    /// The elected sweeper. The key expires when the sweeper's term ends.
    pub(super) fn sweeper(&self) -> String {
        format!("{}:fleet:sweeper", self.prefix)
    }

    /// The channel for the notices of a topic.
    pub(super) fn channel(&self, topic: &Topic) -> String {
        match topic {
            Topic::Job(job) => format!("{}:n:j:{job}", self.prefix),
            Topic::Calls(process) => format!("{}:n:w:{process}", self.prefix),
            Topic::Accounts => format!("{}:n:a", self.prefix),
        }
    }
}

/// A session's name in keys and indexes.
pub(super) fn session_name(tenant: &TenantId, session: &SessionId) -> String {
    format!("{tenant}/{session}")
}

/// The partition of a session.
pub(super) fn session_partition(tenant: &TenantId, session: &SessionId) -> u8 {
    let lane = LaneKey::Session {
        tenant: tenant.clone(),
        session: session.clone(),
    };
    lane.partition()
}

/// The name of a tenant and class in the counts and in the index of queued jobs.
pub(super) fn tenant_class(tenant: &TenantId, class: Class) -> String {
    format!("{tenant}|{}", class_code(class))
}

/// The name of the index of the heads of a class that wait for an account.
pub(super) fn deferred_name(account: &AccountKey, class: Class) -> String {
    format!("{}|{account}", class_code(class))
}

/// The letter of a class.
pub(super) const fn class_code(class: Class) -> char {
    match class {
        Class::Interactive => 'i',
        Class::Batch => 'b',
    }
}

/// The class of a letter.
pub(super) fn class_of_code(code: &str) -> Option<Class> {
    Class::ALL.into_iter().find(|class| {
        let mut utf8 = [0; 4];
        code == class_code(*class).encode_utf8(&mut utf8)
    })
}

/// All partitions.
pub(super) fn partitions() -> impl Iterator<Item = u8> {
    0..=u8::MAX
}

#[cfg(test)]
mod tests {
    use forebay_shared::ids::ProcessId;

    use super::*;

    #[test]
    fn all_keys_of_a_lane_and_its_jobs_share_a_hash_tag() {
        let keys = Keys::new("fb");
        let tenant = TenantId::default();
        let chat = SessionId::parse("chat-42").unwrap();
        let job = JobId::fresh(&tenant, Some(&chat));
        let lane = LaneKey::of(&tenant, Some(&chat), job);
        assert_eq!(keys.lane(&lane), "fb:{16}:l:s/default/chat-42");
        assert_eq!(keys.job(job), format!("fb:{{16}}:j:{job}"));
        assert_eq!(keys.partition_prefix(lane.partition()), "fb:{16}:");
    }

    #[test]
    fn jobs_and_processes_have_separate_channels() {
        let keys = Keys::new("fb");
        let job = JobId::fresh(&TenantId::default(), None);
        let process = ProcessId::parse("worker-1").unwrap();
        assert_eq!(keys.channel(&Topic::Job(job)), format!("fb:n:j:{job}"));
        assert_eq!(keys.channel(&Topic::Calls(process)), "fb:n:w:worker-1");
    }
}
