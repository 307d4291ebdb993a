//! Upgrades: data that an older release stored, and documents with fields that this release does not know.

mod fixture;
mod future_fields;
mod make_fixture;
mod newer_version;
mod rabbit_messages;
mod redis_dump;
mod scenario;
mod sqlite_dump;
mod stored;
mod times;
