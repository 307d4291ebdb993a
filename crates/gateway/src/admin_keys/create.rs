//! `POST /v1/admin/keys`: makes an API key and shows it once. The store has only its hash.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use forebay_shared::{
    api_key::ApiKey,
    document::{DocumentVersion, UnknownFields},
    ids::TenantId,
    store::API_KEYS_MAX,
};

use super::{
    required_keys,
    view::{ApiKeyView, CreatedApiKey},
};
use crate::{
    auth::{Caller, KeyHash, Scope, generated_key},
    content_headers,
    json_response::Json,
    problem::Problem,
    problem_code::ProblemCode,
    request_faults::RequestFaults,
    state::ApiState,
    store_call, validation,
};

/// The scopes of a key for which none are given.
const SCOPES_DEFAULT: [Scope; 2] = [Scope::Submit, Scope::Read];

/// Makes a key.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let mut body = state.bodies.read(&parts.headers, body).await?;
    state.check_valid(&caller)?;
    let faults = RequestFaults::of_query(&parts.extensions);
    let described_as_expected = if body.bytes.is_empty() {
        Err(validation::schema::NEW_KEY.empty_body())
    } else {
        content_headers::check(&parts.headers)
    };
    let validated = state
        .bodies
        .validate(&mut body, described_as_expected, faults, |bytes| {
            validation::new_key(bytes)
        });
    let (new, memory) = validated.await?;
    drop((body, memory));
    let keys = required_keys(&state)?;

    let not_made = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "an API key could not be made");
        Problem::new(ProblemCode::Internal, "the key could not be made")
    };
    let secret = generated_key::generate();
    let now = state.member.store.now();
    let scopes = new.scopes.unwrap_or_else(|| SCOPES_DEFAULT.to_vec());
    let scopes = Scope::ALL
        .into_iter()
        .filter(|scope| scopes.contains(scope));
    let key = ApiKey {
        v: DocumentVersion::FIRST,
        id: generated_key::generate_id().map_err(|error| not_made(&error))?,
        tenant: TenantId::parse(&new.tenant).map_err(|error| not_made(&error))?,
        scopes: scopes.map(|scope| scope.as_str().to_owned()).collect(),
        sha256: KeyHash::of(secret.expose()).to_hex(),
        created_at: now,
        expires_at: new
            .expires_in_s
            .map(|seconds| now.plus_ms(u64::from(seconds) * 1_000)),
        name: new.name,
        unknown: UnknownFields::NONE,
    };
    let added = state.member.store.add_api_key(&key);
    if !store_call::with_timeout(added).await? {
        let detail = format!(
            "the store already has {API_KEYS_MAX} API keys, the most that it can have; revoke those that are not used"
        );
        return Err(Problem::new(ProblemCode::TooManyApiKeys, detail));
    }
    tracing::info!(made_key_id = %key.id, tenant = %key.tenant, scopes = key.scopes.join(","), "API key made");
    if let Err(error) = keys.stored.read().await {
        tracing::debug!(%error, "the new API key is valid once the keys can be read");
    }
    let created = CreatedApiKey {
        view: ApiKeyView::of(&state, &key, None),
        key: secret.expose(),
    };
    let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::CREATED, [no_store], Json(created)).into_response())
}
