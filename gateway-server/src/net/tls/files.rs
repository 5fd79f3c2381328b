//! Loads a certificate and its key from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use crate::system::files;

/// The longest file that is read, in bytes. No chain of certificates comes near it.
const MAX_FILE: u64 = 1 << 20;
/// The protocol that TLS announces to browsers. It must be HTTP/1.1, as a websocket is opened differently over HTTP/2.
const ALPN: &[u8] = b"http/1.1";

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The chain: the server's own certificate first, then those between it and the authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities for clients: if there are some, a peer must show a certificate that one of them has issued.
    pub client_authorities: Option<PathBuf>,
    /// Whether browsers connect to the port. They ask in TLS which protocol follows.
    pub is_web: bool,
}

/// What is wrong, together with the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{0}")]
    Certificate(String),
    #[error("{0}")]
    Key(String),
    #[error("{0}")]
    ClientAuthorities(String),
}

impl Files {
    pub fn load(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        let in_certificate =
            |reason: &str| CertificateError::Certificate(format!("{}: {reason}", self.certificate.display()));
        let in_key = |reason: &str| CertificateError::Key(format!("{}: {reason}", self.key.display()));

        let chain = certificates(&self.certificate).map_err(|reason| in_certificate(&reason))?;
        let key = private_key(&self.key).map_err(|reason| in_key(&reason))?;

        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| in_certificate(&error.to_string()))?;
        let builder = match &self.client_authorities {
            None => builder.with_no_client_auth(),
            Some(file) => builder.with_client_cert_verifier(verifier(file, provider).map_err(|reason| {
                CertificateError::ClientAuthorities(format!("{}: {reason}", file.display()))
            })?),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                in_key(&format!("it is not the key of the certificate in {}", self.certificate.display()))
            }
            Error::InvalidCertificate(error) => in_certificate(&format!("not a certificate: {error}")),
            error => in_key(&error.to_string()),
        })?;
        if self.is_web {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        // A client that comes back shows a ticket, which saves both sides most of the handshake. After a network failure all
        // clients come back at once.
        // One is enough for the one connection of a page; the next one brings the next.
        config.send_tls13_tickets = 1;
        config.ticketer = ring::Ticketer::new().map_err(|error| in_key(&error.to_string()))?;
        Ok(Arc::new(config))
    }
}

fn verifier(file: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(file)?), provider)
        .build()
        .map_err(|error| error.to_string())
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// Gives the authorities of a file, or without one those that the system trusts.
pub(super) fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    match file {
        Some(path) => authorities(path).map_err(|reason| format!("{}: {reason}", path.display())),
        None => {
            let mut roots = RootCertStore::empty();
            // A system may have certificates that cannot be used, which does no harm.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Ok(roots)
        }
    }
}

/// Reads the certificates in a file, of which there must be at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = files::read(file, MAX_FILE).map_err(|error| error.to_string())?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(&error, "certificate"))?;
    if found.is_empty() {
        return Err(not_pem(&pem::Error::NoItemsFound, "certificate"));
    }
    Ok(found)
}

pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = files::read(file, MAX_FILE).map_err(|error| error.to_string())?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| not_pem(&error, "private key without a password"))
}

fn not_pem(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("there is no {what} in it, in PEM"),
        error => format!("not PEM: {error}"),
    }
}
