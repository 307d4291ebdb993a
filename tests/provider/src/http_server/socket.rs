//! The socket of one connection, with or without TLS, and the choice of its version of HTTP.

use std::{io, path::Path, sync::Arc};

use http::Version;
use rustix::net::{RecvFlags, recv};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{io::Interest, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

/// An accepted connection.
pub(super) type Socket = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A certificate chain with its key, from PEM files.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(super) fn read(chain: &Path, key: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(chain).expect("the certificate file is readable");
        Self {
            chain: chain
                .collect::<Result<_, _>>()
                .expect("the file contains certificates"),
            key: PrivateKeyDer::from_pem_file(key).expect("the file contains a key"),
        }
    }

    /// An acceptor of TLS connections that offers these versions of HTTP.
    pub(super) fn acceptor(&self, versions: &[Version]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the default TLS versions are supported")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("the key belongs to the certificate");
        let names = versions.iter().map(|version| match *version {
            Version::HTTP_2 => b"h2".to_vec(),
            _ => b"http/1.1".to_vec(),
        });
        config.alpn_protocols = names.collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Finishes the TLS handshake, if there is one, and determines the version of HTTP that the client speaks.
pub(super) async fn accept(
    stream: TcpStream,
    tls: Option<&TlsAcceptor>,
    versions: &[Version],
) -> io::Result<(Socket, Version)> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        let version = match versions {
            [only] => *only,
            _ => version_by_first_bytes(&stream).await?,
        };
        return Ok((Either::Left(stream), version));
    };
    let stream = tls.accept(stream).await?;
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    Ok((Either::Right(Box::new(stream)), version))
}

/// The preface of HTTP/2 begins with `PRI` (RFC 9113, section 3.4). No method of RFC 9110 begins with `PR`.
async fn version_by_first_bytes(stream: &TcpStream) -> io::Result<Version> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let found = stream.try_io(Interest::READABLE, || {
            let mut first = [0; 2];
            let (_, bytes) = recv(stream, &mut first[..], RecvFlags::PEEK)?;
            match (bytes, &first) {
                // The next byte decides. `WouldBlock` makes `ready` wait for it.
                (1, b"P\0") if !ready.is_read_closed() => Err(io::ErrorKind::WouldBlock.into()),
                (2, b"PR") => Ok(Version::HTTP_2),
                _ => Ok(Version::HTTP_11),
            }
        });
        match found {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            found => return found,
        }
    }
}

/// Makes the socket send a reset (RST) instead of an end when it is dropped.
pub(super) fn reset_on_drop(socket: &Socket) {
    let stream = match socket {
        Either::Left(stream) => stream,
        Either::Right(stream) => stream.get_ref().0,
    };
    // An error means that the socket is already closed.
    let _ = stream.set_zero_linger();
}
