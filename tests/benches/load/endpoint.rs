//! Where clients connect, and how they speak TLS there.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{ClientConnection, Resumption};
use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// The address at which a server takes clients, and the TLS that it speaks there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// The name that the tests' certificates are for.
const NAME: &str = "localhost";

impl Endpoint {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// An endpoint with TLS, at which each client does a whole handshake.
    pub(crate) fn with_tls(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { address, tls: Some(Arc::new(config()?)) })
    }

    /// Gives the same endpoint for clients that come one after the other, each with the ticket that the last one has got.
    pub(crate) fn resuming(&self) -> Self {
        let resuming = |config: &Arc<ClientConfig>| {
            let mut config = ClientConfig::clone(config);
            config.resumption = Resumption::in_memory_sessions(1);
            Arc::new(config)
        };
        Self { address: self.address, tls: self.tls.as_ref().map(resuming) }
    }

    /// Gives the state of a new client's TLS, if it speaks that.
    pub(crate) fn session(&self) -> anyhow::Result<Option<ClientConnection>> {
        let Some(config) = &self.tls else { return Ok(None) };
        Ok(Some(ClientConnection::new(Arc::clone(config), ServerName::try_from(NAME)?)?))
    }
}

/// The clients' settings: one version and one cipher suite, that with which browsers begin, so that all servers do the same work.
fn config() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
        ..ring::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes any certificate: to verify it would cost the generator as much as the server's part of a handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
