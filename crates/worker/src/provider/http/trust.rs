//! The trusted certificates: the platform's and those of `FOREBAY_CA_FILE`. A provider must present one of them, or a
//! certificate that one of them has signed, directly or through intermediate certificates.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject as _},
    },
};
use rustls_platform_verifier::Verifier;

/// The trusted certificates. Clones share them, so that the platform's certificates are read only once.
#[derive(Clone, Debug, Default)]
pub struct TrustedCertificates(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Trusted in addition to the platform's.
    extra: Vec<CertificateDer<'static>>,
    /// Built when TLS is first needed, because a platform without certificates is an error only with TLS.
    config: OnceLock<ClientConfig>,
}

/// Why a PEM file cannot be used. The caller adds the path of the file.
#[derive(Debug, thiserror::Error)]
pub enum CaFileError {
    /// A PEM block of the file is cut off or malformed.
    #[error("has a PEM block that is cut off or malformed")]
    Pem(#[source] pem::Error),
    /// The file has no PEM block of a certificate.
    #[error("holds no certificate (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A certificate of the file cannot be read.
    #[error("certificate {number} cannot be read")]
    Certificate {
        /// The position of the certificate in the file, counted from 1.
        number: usize,
        /// What is wrong with the certificate.
        source: rustls::Error,
    },
}

impl TrustedCertificates {
    /// The platform's certificates and those of a PEM file.
    ///
    /// # Errors
    /// [`CaFileError`] when the file has a malformed PEM block, no certificate, or one that cannot be read.
    pub fn with_pem(text: &[u8]) -> Result<Self, CaFileError> {
        let extra = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        let extra = extra.map_err(CaFileError::Pem)?;
        if extra.is_empty() {
            return Err(CaFileError::Empty);
        }
        for (index, certificate) in extra.iter().enumerate() {
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|source| CaFileError::Certificate {
                    number: index + 1,
                    source,
                })?;
        }
        Ok(Self(Arc::new(Inner {
            extra,
            config: OnceLock::new(),
        })))
    }

    /// The configuration of TLS with these certificates, which offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// When there is no trusted certificate at all.
    pub(super) fn tls_config(&self) -> Result<ClientConfig, rustls::Error> {
        if let Some(config) = self.0.config.get() {
            return Ok(config.clone());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            Verifier::new_with_extra_roots(self.0.extra.iter().cloned(), Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(self.0.config.get_or_init(|| config).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{CaFileError, TrustedCertificates};

    #[test]
    fn a_file_without_a_usable_certificate_is_refused() {
        let error = |text: &str| TrustedCertificates::with_pem(text.as_bytes()).expect_err(text);
        assert!(matches!(error(""), CaFileError::Empty));
        assert!(matches!(error("no PEM at all"), CaFileError::Empty));
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(error(key), CaFileError::Empty));
        let cut_off = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(error(cut_off), CaFileError::Pem(_)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(broken).to_string(), "certificate 1 cannot be read");
    }
}
