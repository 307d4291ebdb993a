//! Which job a submit with an `Idempotency-Key` is about
//! (IETF draft-ietf-httpapi-idempotency-key-header).
//!
//! A key lives in another place of the store than the lane of its job, so a submit has two steps: set
//! the key to the id of a job, then admit that very job. Whoever finds a key without its job (a gateway
//! died between the steps, or the lane refused) does the second step itself.

use axum::http::{HeaderMap, HeaderName};
use forebay_shared::{
    ids::JobId,
    store::{KeyEntry, KeyOutcome},
    time::TimeMs,
};
use sha2::{Digest, Sha256};

use crate::{
    api::Api,
    patience,
    problem::{Code, Problem},
};

/// How long a key leads to its job.
pub(crate) const KEY_TTL_MS: u64 = 24 * 3_600_000;
/// How much longer a job's record is kept than a key that leads to it, so that a key is never found
/// whose job is forgotten: that would be taken for a crash between the steps, and run it again.
pub(crate) const RECORD_MARGIN_MS: u64 = 3_600_000;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// What an answer carries that was not made by this request.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const ALLOWED: &str = "must be one header of 1 to 255 printable ASCII characters";
const KEY_BYTES_MAX: usize = 255;

/// The key of a request, if it has one. The draft wants a quoted string; most clients send the bare
/// text, which means the same.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let invalid = || Problem::field("Idempotency-Key", ALLOWED);
    if values.next().is_some() {
        return Err(invalid());
    }
    let text = value.to_str().map_err(|_| invalid())?.trim();
    let key = unquote(text).ok_or_else(invalid)?;
    let printable = key.bytes().all(|b| (0x20..=0x7e).contains(&b));
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !printable {
        return Err(invalid());
    }
    Ok(Some(key))
}

/// The content of a structured field's string (RFC 9651, 3.3.3), or the text as it is if it is not
/// quoted. `None` for a string that does not end where it should.
fn unquote(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let inner = rest.strip_suffix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => key.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
    Some(key)
}

/// The job that a submit is about.
pub(crate) enum Whose {
    /// A new one, with this id: the key leads to it from now on.
    New,
    /// The one that an earlier request with the key and the body made, or was about to make.
    Earlier(JobId),
}

/// Sets the key to `job` unless it leads to another job already.
pub(crate) async fn claim(
    api: &Api,
    key: &str,
    body: &[u8],
    job: JobId,
    now: TimeMs,
) -> Result<Whose, Problem> {
    let entry = KeyEntry {
        job,
        body_sha256: sha256_hex(body),
        created_at: now,
    };
    let claim = api
        .member
        .store
        .claim_key(&api.tenant, key, &entry, KEY_TTL_MS);
    match patience::within(claim).await? {
        KeyOutcome::Set => Ok(Whose::New),
        KeyOutcome::Found(found) if found.body_sha256 == entry.body_sha256 => {
            Ok(Whose::Earlier(found.job))
        }
        KeyOutcome::Found(_) => {
            let detail = "an earlier request with this Idempotency-Key had another body";
            Err(Problem::new(Code::IdempotencyKeyReused, detail))
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

    use super::{HEADER, key, sha256_hex};

    fn of(values: &[&[u8]]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        key(&headers).ok()
    }

    #[test]
    fn a_quoted_key_is_the_same_as_a_bare_one() {
        assert_eq!(of(&[]), Some(None));
        assert_eq!(of(&[b"a b"]), Some(Some(String::from("a b"))));
        assert_eq!(of(&[br#""a \"b\\""#]), Some(Some(String::from(r#"a "b\"#))));
    }

    #[test]
    fn anything_else_is_refused() {
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
            assert_eq!(of(values), None, "{values:?}");
        }
    }

    #[test]
    fn the_hash_is_the_usual_one() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
