//! The handlers of the API keys in the store: make, list, revoke. They need an admin key, and show the keys of all tenants. They do
//! not show the keys of the keys file.
//!
//! Without a keys file, requests need no key. Then these handlers refuse all requests.

pub(crate) mod create;
pub(crate) mod list;
mod list_query;
pub(crate) mod revoke;
mod view;

pub(crate) use list_query::PARAMETERS as LIST_PARAMETERS;
pub(crate) use view::{ApiKeyList, CreatedApiKey};

use crate::{auth::ValidKeys, problem::Problem, problem_code::ProblemCode, state::ApiState};

/// The keys of this gateway. An error if the gateway requires no keys.
pub(crate) fn required_keys(state: &ApiState) -> Result<&ValidKeys, Problem> {
    state.keys.as_ref().ok_or_else(|| {
        let detail = "requests to this gateway need no API key, so a key would protect nothing; set FOREBAY_API_KEYS_FILE to a \
                      file with an admin key and restart the gateway";
        Problem::new(ProblemCode::ApiKeysNotRequired, detail)
    })
}
