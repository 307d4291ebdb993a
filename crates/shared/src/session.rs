//! A session: the turns of one conversation, kept outside every process.

use crate::{
    document::{self, ReadError},
    session_settings::{SessionDefaults, StoredSettings},
    time::TimeMs,
    turn::Turn,
};

/// The bounds of a session in the store. Every commit that changes a session contains them, so engines need no
/// settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    /// How long a session without live jobs is kept after its last use, in milliseconds.
    pub ttl_ms: u64,
    /// The maximum number of turns that are kept. The oldest are dropped first.
    pub turns_max: usize,
    /// The maximum size of the kept turns as JSON, in bytes. The oldest turns are dropped first. The newest turn always
    /// stays.
    pub turns_bytes_max: usize,
}

/// A provider's newest count of tokens for an input of a session. The tokens of other inputs are estimated from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenMeasure {
    /// The bytes of the input that was sent, as JSON: turns, instructions and tools.
    pub sent_bytes: u64,
    /// The tokens that the provider counted for this input.
    pub input_tokens: u64,
}

/// What a worker needs of a session to run a job: its turns, its newest token count and its defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The turns, oldest first.
    pub turns: Vec<Turn>,
    /// The number of each turn, in the same order.
    pub numbers: Vec<u64>,
    /// The newest token count of an input of the session, if a provider has reported one.
    pub token_measure: Option<TokenMeasure>,
    /// The values of the fields that the job's request leaves out.
    pub defaults: SessionDefaults,
}

/// A turn of a session, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTurn {
    /// The number of the turn in its session, counted from 0. It never changes, even if older turns are dropped. No other turn
    /// ever gets it, even if turns are replaced. So numbers rise, with gaps after a replacement.
    pub number: u64,
    /// The turn as JSON.
    pub json: Vec<u8>,
}

impl StoredTurn {
    /// Parses the turn.
    ///
    /// # Errors
    /// [`ReadError`] if this process cannot act on the turn.
    pub fn parse(&self) -> Result<Turn, ReadError> {
        document::read(&self.json)
    }
}

/// A session without its turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// How many turns the session has.
    pub turn_count: u64,
    /// The number of the oldest turn. Equal to `next_turn` if the session has no turns.
    pub first_turn: u64,
    /// The number that the next turn will get. It is higher than the numbers of all turns.
    pub next_turn: u64,
    /// The bytes of all turns as stored.
    pub turns_bytes: u64,
    /// All turns, oldest first, if they have at most [`INLINE_BYTES_MAX`](crate::store::INLINE_BYTES_MAX) bytes.
    pub turns: Option<Vec<StoredTurn>>,
    /// What the client has set, if it has at most [`INLINE_BYTES_MAX`](crate::store::INLINE_BYTES_MAX) bytes.
    /// [`Store::session_settings`](crate::store::Store::session_settings) reads more.
    pub settings: Option<StoredSettings>,
    /// When the first job of the session was accepted, or a client created it.
    pub created_at: TimeMs,
    /// When the session was last changed.
    pub updated_at: TimeMs,
    /// When the session expires unless it is used; `None` while it has live jobs.
    pub expires_at: Option<TimeMs>,
    /// The number of jobs of the session that have not ended.
    pub live_jobs: usize,
}

/// A session, as a read returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The turns, oldest first.
    pub turns: Vec<Turn>,
    /// When the first job of the session was accepted, or a client created it.
    pub created_at: TimeMs,
    /// When the session was last changed.
    pub updated_at: TimeMs,
    /// When the session expires unless it is used; `None` while it has live jobs.
    pub expires_at: Option<TimeMs>,
    /// The number of jobs of the session that have not ended.
    pub live_jobs: usize,
}
