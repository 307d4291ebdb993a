//! The names of the keys. All that one commit touches carries the partition in braces, the hash tag
//! of Redis Cluster, and so lies in one slot.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `fb:{p}:l:LANE` | string | a lane: a line with what scripts look at ([`document`](super::document)), then JSON |
//! | `fb:{p}:j:JOB` | hash | a job's record: `meta`, `request`, `keep_until`, `lane`; at its end `mark`, `outcome` |
//! | `fb:{p}:t` | zset | timers: job by moment |
//! | `fb:{p}:h` | zset | heads: what it does (`r`, `i`, `b`) and its lane, in the order of the text |
//! | `fb:{p}:w:TENANT\|C` | zset | jobs of a tenant and class that no worker runs, by admission |
//! | `fb:{p}:c` | hash | counts: `TENANT\|C\|X`, and in `#` the sessions with live jobs |
//! | `fb:{p}:s:TENANT/SESSION` | hash | a session: `created_at`, `updated_at`, `bytes`, `sent_bytes`, `input_tokens` |
//! | `fb:{p}:u:TENANT/SESSION` | list | its turns |
//! | `fb:{p}:su`, `fb:{p}:sx` | zset | sessions without live jobs, by use and by expiry |
//! | `fb:k:TENANT/KEY` | string | an idempotency key |
//! | `fb:fleet:presence`, `fb:fleet:sweeper` | zset, string | who is there, who sweeps |
//!
//! `p` is two hex digits, `C` is `i` or `b`, and `X` one of `r` (ready), `f` (in flight), `b` (behind its
//! session), `w` (retry wait), `e` (ended).

use forebay_shared::{
    class::Class,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    store::Topic,
};

/// The names of the keys of one installation.
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

    /// What all keys of a partition begin with.
    pub(super) fn partition(&self, partition: u8) -> String {
        format!("{}:{{{partition:02x}}}:", self.prefix)
    }

    /// A lane's document.
    pub(super) fn lane(&self, lane: &LaneKey) -> String {
        format!("{}l:{lane}", self.partition(lane.partition()))
    }

    /// A job's record.
    pub(super) fn job(&self, job: JobId) -> String {
        format!("{}j:{job}", self.partition(job.partition()))
    }

    /// An idempotency key.
    pub(super) fn idempotency(&self, tenant: &TenantId, key: &str) -> String {
        format!("{}:k:{tenant}/{key}", self.prefix)
    }

    /// Who is there.
    pub(super) fn presence(&self) -> String {
        format!("{}:fleet:presence", self.prefix)
    }

    /// Who sweeps.
    pub(super) fn sweeper(&self) -> String {
        format!("{}:fleet:sweeper", self.prefix)
    }

    /// The channel of a topic.
    pub(super) fn channel(&self, topic: &Topic) -> String {
        match topic {
            Topic::Job(job) => self.job_channel(*job),
            Topic::Calls(process) => self.calls_channel(process),
        }
    }

    /// The channel that says that a job has ended.
    pub(super) fn job_channel(&self, job: JobId) -> String {
        format!("{}:n:j:{job}", self.prefix)
    }

    /// The channel that says that a call of a process has lost its job.
    pub(super) fn calls_channel(&self, process: &ProcessId) -> String {
        format!("{}:n:w:{process}", self.prefix)
    }
}

/// A session as it is named in keys and indexes.
pub(super) fn session(tenant: &TenantId, session: &SessionId) -> String {
    format!("{tenant}/{session}")
}

/// A tenant and a class as they are named in counts and in the index of who waits.
pub(super) fn kind(tenant: &TenantId, class: Class) -> String {
    format!("{tenant}|{}", class_mark(class))
}

/// One letter for a class.
pub(super) const fn class_mark(class: Class) -> char {
    match class {
        Class::Interactive => 'i',
        Class::Batch => 'b',
    }
}

/// All partitions.
pub(super) fn partitions() -> impl Iterator<Item = u8> {
    0..=u8::MAX
}

#[cfg(test)]
mod tests {
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
        assert_eq!(keys.partition(lane.partition()), "fb:{16}:");
    }

    #[test]
    fn channels_tell_jobs_and_processes_apart() {
        let keys = Keys::new("fb");
        let job = JobId::fresh(&TenantId::default(), None);
        let process = ProcessId::parse("worker-1").unwrap();
        assert_eq!(keys.channel(&Topic::Job(job)), format!("fb:n:j:{job}"));
        assert_eq!(keys.channel(&Topic::Calls(process)), "fb:n:w:worker-1");
    }
}
