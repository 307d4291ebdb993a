//! The tables of sessions and turns.

mod delete;
mod key;
mod read;
mod replace;
mod stored;
mod write;

pub(super) use delete::{count, delete_expired, evict, remove};
pub(super) use key::SessionKey;
pub(super) use read::{conversation, info, touch, turns, turns_from};
pub(super) use replace::has_turn;
pub(super) use stored::StoredSession;
pub(super) use write::{set_lane, write};
