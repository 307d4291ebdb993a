//! Decodes the body of a message. The result is a wake, or the reason why the body cannot be read.

use forebay_shared::wake::Wake;
use serde::Deserialize;

/// The longest body that is decoded. The fields of a wake are bounded, and its body usually has a few hundred bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why this release cannot read a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the message has {0} bytes; at most {BODY_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("the message is not a wake")]
    NotAWake(#[source] serde_json::Error),
    #[error("the wake has version {0}; this release reads version {known}", known = Wake::VERSION)]
    UnknownVersion(u32),
}

/// The field that wakes of all versions have.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

pub(super) fn decode_wake(body: &[u8]) -> Result<Wake, Unreadable> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Unreadable::TooLong(body.len()));
    }
    let Versioned { v } = serde_json::from_slice(body).map_err(Unreadable::NotAWake)?;
    if v != Wake::VERSION {
        return Err(Unreadable::UnknownVersion(v));
    }
    serde_json::from_slice(body).map_err(Unreadable::NotAWake)
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        class::Class,
        ids::{JobId, TenantId},
        time::TimeMs,
        wake::Wake,
    };

    use super::{BODY_BYTES_MAX, Unreadable, decode_wake};

    fn wake() -> Wake {
        let tenant = TenantId::default();
        Wake {
            v: Wake::VERSION,
            job: JobId::fresh(&tenant, None),
            tenant,
            session: None,
            class: Class::Batch,
            model: None,
            permit: None,
            admitted_at: TimeMs(1),
            sent_at: TimeMs(2),
            lane_copy: None,
            traceparent: None,
        }
    }

    #[test]
    fn decodes_a_wake() {
        let wake = wake();
        let body = serde_json::to_vec(&wake).unwrap();
        assert_eq!(decode_wake(&body).unwrap(), wake);
    }

    #[test]
    fn reports_why_a_message_cannot_be_read() {
        for body in [&b""[..], b"{", b"{}", b"[1]", b"\xff", b"{\"v\":1}"] {
            assert!(matches!(decode_wake(body), Err(Unreadable::NotAWake(_))));
        }
        let newer = Wake { v: 2, ..wake() };
        let newer = serde_json::to_vec(&newer).unwrap();
        assert!(matches!(
            decode_wake(&newer),
            Err(Unreadable::UnknownVersion(2))
        ));
        let long = vec![b' '; BODY_BYTES_MAX + 1];
        assert!(matches!(decode_wake(&long), Err(Unreadable::TooLong(_))));
    }
}
