//! The tables of sessions, of their turns and of their settings.

mod delete;
mod key;
mod list;
mod put;
mod read;
mod replace;
mod settings;
mod stored;
mod write;

pub(super) use delete::{count, delete_expired, evict, remove};
pub(super) use key::SessionKey;
pub(super) use list::list;
pub(super) use put::{put, swap_settings};
pub(super) use read::{conversation, info, touch, turns, turns_from};
pub(super) use replace::has_turn;
pub(super) use settings::{defaults, defaults_bytes, model, settings};
pub(super) use stored::StoredSession;
pub(super) use write::{set_lane, write};
