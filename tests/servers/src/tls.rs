//! Certificates for one test: an authority, and a certificate that it signed for a server on loopback.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

/// The files of an authority and of a server's certificate for `localhost` and `127.0.0.1`. Dropping the value deletes
/// the files, so each server that uses them keeps an `Arc` of it.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes a new authority and a new certificate.
    ///
    /// # Errors
    /// If a key cannot be made or a file cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("forebay-tls-").tempdir()?;
        let certificates = Self { folder };

        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        // Clients look an authority up by its name, so each authority needs a unique name.
        let name = format!("authority {:08x} of Forebay's tests", rand::random::<u32>());
        authority.distinguished_name.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        fs::write(
            certificates.ca_file(),
            authority.self_signed(&authority_key)?.pem(),
        )?;

        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        server
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
        fs::write(certificates.certificate_file(), certificate.pem())?;
        fs::write(certificates.key_file(), key.serialize_pem())?;
        Ok(certificates)
    }

    /// Makes a self-signed certificate for the same names. Clients trust this certificate directly, so
    /// [`ca_file`](Self::ca_file) contains it too. With `is_ca` it is marked as a CA, as `openssl req -x509` does by
    /// default.
    ///
    /// # Errors
    /// If a key cannot be made or a file cannot be written.
    pub fn self_signed(is_ca: bool) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("forebay-tls-").tempdir()?;
        let certificates = Self { folder };
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        server
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        server.is_ca = if is_ca {
            IsCa::Ca(BasicConstraints::Unconstrained)
        } else {
            IsCa::ExplicitNoCa
        };
        let certificate = server.self_signed(&key)?.pem();
        fs::write(certificates.ca_file(), &certificate)?;
        fs::write(certificates.certificate_file(), &certificate)?;
        fs::write(certificates.key_file(), key.serialize_pem())?;
        Ok(certificates)
    }

    /// The authority's certificate (PEM), for clients to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate (PEM).
    pub fn certificate_file(&self) -> PathBuf {
        self.file("certificate.pem")
    }

    /// The server's private key (PEM, PKCS #8).
    pub fn key_file(&self) -> PathBuf {
        self.file("key.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }
}
