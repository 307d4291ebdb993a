//! Who may use the API: API keys, their tenants and their scopes.
//!
//! - `scopes`: what a key may do. `caller`: who makes a request.
//! - `hash_index`: finds keys by their hashes (`key_hash`).
//! - [`ApiKeysFile`]: the keys of a file, read again when it changes. `api_keys`: the keys that one read found. `keys_file`: reads
//!   keys and limits of tenants from the text of a file; `limits_text`: one line of limits.
//! - `stored_keys`: the keys of the store, which are made at run time. `generated_key`: their form. `key_uses`: when they were used.
//! - `valid_keys`: the keys that the gateway accepts, those of the file and of the store.
//! - `authorize`: decides which scope a request needs, and whether its key has it.

mod api_keys;
mod api_keys_file;
mod authorize;
mod caller;
pub(crate) mod generated_key;
mod hash_index;
mod key_hash;
mod key_uses;
mod keys_file;
mod limits_text;
mod scopes;
mod stored_keys;
mod valid_keys;

pub use api_keys_file::{ApiKeysFile, ApiKeysFileError};
pub(crate) use authorize::{Access, authorize, unknown_key};
pub(crate) use caller::Caller;
pub(crate) use key_hash::KeyHash;
pub(crate) use scopes::Scope;
pub(crate) use valid_keys::ValidKeys;
