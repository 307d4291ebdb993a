//! The `Idempotency-Key` header (IETF draft-ietf-httpapi-idempotency-key-header): a repeated submit gets
//! the job of the first submit.
//!
//! The store keeps a key apart from its job's lane. So a submit takes two steps: it sets the key to a job id, and then
//! admits the job with that id. If a gateway dies between the steps, or if the admission is refused, the
//! key is left without a job. The next request with that key does the second step itself.

use axum::http::{HeaderMap, HeaderName};
use forebay_shared::{
    document::{DocumentVersion, UnknownFields},
    ids::JobId,
    store::{IdempotencyEntry, SetKeyResult},
    time::TimeMs,
};
use sha2::{Digest, Sha256};

use crate::{problem::Problem, problem_code::ProblemCode, state::ApiState, store_call};

/// How long a key is kept, in milliseconds: 24 hours.
pub(crate) const KEY_TTL_MS: u64 = 24 * 3_600_000;
/// How much longer a job's record is kept than its key, in milliseconds. A key that outlives its job
/// would look like a crash between the two steps, and the job would run again.
pub(crate) const RECORD_MARGIN_MS: u64 = 3_600_000;

/// The response header that marks a response with the job of an earlier request.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const KEY_FORMAT: &str = "must be one header of 1 to 255 printable ASCII characters";
const KEY_BYTES_MAX: usize = 255;

/// The request's key; `None` if there is no such header. The draft requires a quoted string, but most clients send the text without
/// quotes. Both forms are accepted and mean the same key.
pub(crate) fn parse_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let invalid = || Problem::invalid_field("Idempotency-Key", KEY_FORMAT);
    if values.next().is_some() {
        return Err(invalid());
    }
    let text = value.to_str().map_err(|_| invalid())?.trim();
    let key = unquote(text).ok_or_else(invalid)?;
    let is_printable = key.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !is_printable {
        return Err(invalid());
    }
    Ok(Some(key))
}

/// The content of a quoted string (RFC 9651, section 3.3.3). Unquoted text is returned unchanged; a
/// malformed quoted string gives `None`.
fn unquote(text: &str) -> Option<String> {
    let Some(after_quote) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let content = after_quote.strip_suffix('"')?;
    let mut key = String::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(character) = chars.next() {
        match character {
            '"' => return None,
            '\\' => key.push(
                chars
                    .next()
                    .filter(|character| matches!(character, '"' | '\\'))?,
            ),
            character => key.push(character),
        }
    }
    Some(key)
}

/// The job that a key belongs to.
pub(crate) enum KeyOwner {
    /// The job of this request. The key now belongs to that job.
    ThisJob,
    /// The job of an earlier request with the same key and body. It may not be admitted yet.
    EarlierJob(JobId),
}

/// Sets the key to `job`, unless the key already belongs to another job.
pub(crate) async fn set_idempotency_key(
    state: &ApiState,
    key: &str,
    body: &[u8],
    job: JobId,
    now: TimeMs,
) -> Result<KeyOwner, Problem> {
    let entry = IdempotencyEntry {
        job,
        body_sha256: sha256_hex(body),
        created_at: now,
        v: DocumentVersion::FIRST,
        unknown: UnknownFields::NONE,
    };
    let set_key = state
        .member
        .store
        .set_idempotency_key(&state.tenant, key, &entry, KEY_TTL_MS);
    match store_call::with_timeout(set_key).await? {
        SetKeyResult::Set => Ok(KeyOwner::ThisJob),
        SetKeyResult::AlreadySet(found) if found.body_sha256 == entry.body_sha256 => {
            Ok(KeyOwner::EarlierJob(found.job))
        }
        SetKeyResult::AlreadySet(_) => {
            let detail = "an earlier request with this Idempotency-Key had another body";
            Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail))
        }
    }
}

fn sha256_hex(body: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(body);
    let mut hex = String::with_capacity(digest.len() * 2);
    for byte in digest {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{HEADER, parse_key, sha256_hex};

    fn parsed(values: &[&[u8]]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        parse_key(&headers).ok()
    }

    #[test]
    fn a_quoted_key_equals_the_key_without_quotes() {
        assert_eq!(parsed(&[]), Some(None));
        assert_eq!(parsed(&[b"a b"]), Some(Some(String::from("a b"))));
        assert_eq!(
            parsed(&[br#""a \"b\\""#]),
            Some(Some(String::from(r#"a "b\"#)))
        );
    }

    #[test]
    fn an_invalid_key_is_refused() {
        let long = [b'x'; 256];
        for values in [
            &[b"".as_slice()][..],
            &[b"\"\""],
            &[b"\"open"],
            &[b"\"a\"b\""],
            &[b"\"\\x\""],
            &["é".as_bytes()],
            &[b"a", b"b"],
            &[&long],
        ] {
            assert_eq!(parsed(values), None, "the headers {values:?} were accepted");
        }
    }

    #[test]
    fn the_hash_is_sha256_in_hex() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
