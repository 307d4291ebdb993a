//! Reads messages: a wake, or the reason why it is none.

use forebay_shared::wake::Wake;
use serde::Deserialize;

/// The longest message that is read. A wake has some hundred bytes; its fields are bounded far below.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why a message is no wake that this release can read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0} bytes, of which at most {BODY_BYTES_MAX} are read")]
    TooLong(usize),
    #[error("not a wake: {0}")]
    NotAWake(#[source] serde_json::Error),
    #[error("version {0}, of which only {known} is known", known = Wake::VERSION)]
    UnknownVersion(u32),
}

/// Of any version, past or future, this much can be read.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

pub(super) fn read(body: &[u8]) -> Result<Wake, Unreadable> {
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

    use super::{BODY_BYTES_MAX, Unreadable, read};

    fn wake() -> Wake {
        let tenant = TenantId::default();
        Wake {
            v: Wake::VERSION,
            job: JobId::fresh(&tenant, None),
            tenant,
            session: None,
            class: Class::Batch,
            model: None,
            admitted_at: TimeMs(1),
            sent_at: TimeMs(2),
            traceparent: None,
        }
    }

    #[test]
    fn a_wake_is_read_back() {
        let wake = wake();
        let body = serde_json::to_vec(&wake).unwrap();
        assert_eq!(read(&body).unwrap(), wake);
    }

    #[test]
    fn what_is_no_wake_has_a_reason() {
        for body in [&b""[..], b"{", b"{}", b"[1]", b"\xff", b"{\"v\":1}"] {
            assert!(matches!(read(body), Err(Unreadable::NotAWake(_))));
        }
        let newer = Wake { v: 2, ..wake() };
        let newer = serde_json::to_vec(&newer).unwrap();
        assert!(matches!(read(&newer), Err(Unreadable::UnknownVersion(2))));
        let long = vec![b' '; BODY_BYTES_MAX + 1];
        assert!(matches!(read(&long), Err(Unreadable::TooLong(_))));
    }
}
