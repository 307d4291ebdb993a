//! Finds out why no connection was made: the host refused it, the lookup of its name failed, the limit of open files is
//! reached, or there is another cause.
//!
//! The code or the kind of the innermost I/O error shows the cause. Only a failed name lookup (getaddrinfo, RFC 3493) must
//! be recognised by its text, because Rust's standard library does not keep getaddrinfo's error code.

use std::{
    error::Error,
    fs::File,
    io::{self, ErrorKind},
};

use crate::provider::fault::NoConnection;

/// The text before getaddrinfo's own text in an error of Rust's standard library.
const LOOKUP_FAILED: &str = "failed to lookup address information";

/// The texts of `EAI_NONAME` and `EAI_NODATA`: the name has no address, so a later lookup would fail too. With `EAI_AGAIN`
/// and the other codes, a later lookup may succeed.
const UNKNOWN_NAME: [&str; 5] = [
    // glibc
    "Name or service not known",
    "No address associated with hostname",
    // musl
    "Name does not resolve",
    "Name has no usable address",
    // macOS
    "nodename nor servname provided, or not known",
];

/// The codes of `EMFILE` and `ENFILE` (POSIX): the limit of open files of the process, or of the system, is reached. The codes
/// are the same on all supported systems.
const OUT_OF_FILES: [i32; 2] = [24, 23];

/// Why no connection was made.
pub(super) fn cause_of(error: &(dyn Error + 'static)) -> NoConnection {
    let Some(error) = innermost_io_error(error) else {
        return NoConnection::Other;
    };
    if is_out_of_files(error) {
        return NoConnection::OutOfFiles;
    }
    let text = error.to_string();
    if text.contains(LOOKUP_FAILED) {
        // The resolver needs files, and reports the lack of them as any other failure.
        if File::open("/dev/null").is_err_and(|error| is_out_of_files(&error)) {
            return NoConnection::OutOfFiles;
        }
        let is_unknown = UNKNOWN_NAME.iter().any(|unknown| text.contains(unknown));
        return if is_unknown {
            NoConnection::UnknownName
        } else {
            NoConnection::ResolverFails
        };
    }
    match error.kind() {
        ErrorKind::TimedOut => NoConnection::TimedOut,
        ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        // The TLS handshake did not end, so no request was sent.
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => NoConnection::Refused,
        _ => NoConnection::Other,
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| OUT_OF_FILES.contains(&code))
}

fn innermost_io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut innermost = None;
    let mut next = Some(error);
    while let Some(error) = next {
        next = match error.downcast_ref::<io::Error>() {
            // An I/O error's `source` is the source of the wrapped error, so it skips the wrapped error itself.
            Some(io_error) => {
                innermost = Some(io_error);
                io_error.get_ref().map(|wrapped| wrapped as _)
            }
            None => error.source(),
        };
    }
    innermost
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use tokio::net::lookup_host;

    use super::{LOOKUP_FAILED, cause_of};
    use crate::provider::fault::NoConnection;

    /// An error whose source is an I/O error, as libraries return it.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] io::Error);

    #[test]
    fn the_kind_of_the_innermost_io_error_decides() {
        for (kind, expected) in [
            (ErrorKind::ConnectionRefused, NoConnection::Refused),
            (ErrorKind::HostUnreachable, NoConnection::Refused),
            (ErrorKind::NetworkUnreachable, NoConnection::Refused),
            (ErrorKind::ConnectionReset, NoConnection::Refused),
            (ErrorKind::UnexpectedEof, NoConnection::Refused),
            (ErrorKind::TimedOut, NoConnection::TimedOut),
            // rustls reports a certificate that is not trusted with this kind.
            (ErrorKind::InvalidData, NoConnection::Other),
            (ErrorKind::AddrNotAvailable, NoConnection::Other),
            (ErrorKind::PermissionDenied, NoConnection::Other),
        ] {
            let error = Outer("tcp connect error", io::Error::from(kind));
            assert_eq!(cause_of(&error), expected, "{kind:?}");
            let error = Outer("tunnel error", io::Error::other(error));
            assert_eq!(cause_of(&error), expected, "{kind:?} in another error");
            let error = io::Error::other(io::Error::from(kind));
            let error = Outer("client error", error);
            assert_eq!(cause_of(&error), expected, "{kind:?} in an I/O error");
        }
        #[derive(Debug, thiserror::Error)]
        #[error("unsuccessful")]
        struct NoIo;
        assert_eq!(cause_of(&NoIo), NoConnection::Other);
    }

    #[test]
    fn a_lack_of_files_is_no_fault_of_the_provider() {
        for code in [23, 24] {
            let error = Outer("tcp open error", io::Error::from_raw_os_error(code));
            assert_eq!(cause_of(&error), NoConnection::OutOfFiles, "{code}");
        }
    }

    #[test]
    fn an_unknown_name_and_a_failed_lookup_are_distinguished() {
        for (text, expected) in [
            ("Name or service not known", NoConnection::UnknownName),
            (
                "No address associated with hostname",
                NoConnection::UnknownName,
            ),
            ("Name does not resolve", NoConnection::UnknownName),
            ("Name has no usable address", NoConnection::UnknownName),
            (
                "nodename nor servname provided, or not known",
                NoConnection::UnknownName,
            ),
            (
                "Temporary failure in name resolution",
                NoConnection::ResolverFails,
            ),
            ("Try again", NoConnection::ResolverFails),
            (
                "Non-recoverable failure in name resolution",
                NoConnection::ResolverFails,
            ),
        ] {
            let text = format!("{LOOKUP_FAILED}: {text}");
            let error = Outer("dns error", io::Error::other(text.clone()));
            assert_eq!(cause_of(&error), expected, "{text}");
        }
    }

    /// A host name cannot have an empty label, so the system's resolver needs no name server to refuse it.
    #[tokio::test]
    async fn the_resolver_of_this_system_reports_an_unknown_name() {
        let error = lookup_host(("a..b", 80))
            .await
            .err()
            .expect("no host has this name");
        assert_eq!(cause_of(&error), NoConnection::UnknownName, "{error}");
    }
}
