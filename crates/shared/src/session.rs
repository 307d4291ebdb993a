//! A session: the turns of one conversation, kept outside every process.

use crate::{time::TimeMs, turn::Turn};

/// What bounds a session in the store. A part of every commit that touches one, so that engines
/// hold no settings of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    /// How long a session without a live job is kept after it was last used.
    pub ttl_ms: u64,
    /// The most turns kept; the oldest go first.
    pub turns_max: usize,
    /// The most bytes of turns kept, as JSON; the oldest go first. One turn always stays.
    pub turns_bytes_max: usize,
}

/// What a provider's own count of tokens said about turns of this session: the newest pair of bytes
/// sent and tokens counted, from which the tokens of other turns are estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenMeasure {
    /// Bytes of the turns sent, as JSON.
    pub sent_bytes: u64,
    /// Tokens the provider counted for them.
    pub input_tokens: u64,
}

/// The turns of a session as a worker gets them with a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// Oldest first.
    pub turns: Vec<Turn>,
    /// What is known of their size in tokens.
    pub measure: Option<TokenMeasure>,
}

/// A session as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Oldest first.
    pub turns: Vec<Turn>,
    /// When its first job was accepted.
    pub created_at: TimeMs,
    /// When a commit last touched it.
    pub updated_at: TimeMs,
    /// When it goes if nobody uses it; absent while it has live jobs.
    pub expires_at: Option<TimeMs>,
    /// Jobs of it that have not ended.
    pub live_jobs: usize,
}
