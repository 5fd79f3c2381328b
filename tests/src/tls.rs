//! Self-signed certificates, and clients that trust them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    CipherSuiteCommon, ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite,
    SupportedProtocolVersion, Tls12CipherSuite, Tls13CipherSuite,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{Client, soon};

/// A certificate for localhost and its key, in files that are removed when this is dropped.
pub struct TestCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    der: CertificateDer<'static>,
    _folder: tempfile::TempDir,
}

/// A client that speaks TLS.
pub type TlsClient = Client<TlsStream<TcpStream>>;

impl TestCertificate {
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        let mut made = Self { certificate, key, der: CertificateDer::from(Vec::new()), _folder: folder };
        made.renew()?;
        Ok(made)
    }

    /// Writes another certificate and key into the files.
    pub fn renew(&mut self) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        std::fs::write(&self.key, key.serialize_pem())?;
        std::fs::write(&self.certificate, certificate.pem())?;
        self.der = certificate.der().clone();
        Ok(())
    }

    /// Writes a certificate that is good for `name` until some seconds after 1970.
    pub fn renew_for(&mut self, name: &str, until: u64) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let mut wanted = CertificateParams::new(vec![name.to_owned()])?;
        wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(until);
        let certificate = wanted.self_signed(&key)?;
        std::fs::write(&self.key, key.serialize_pem())?;
        std::fs::write(&self.certificate, certificate.pem())?;
        self.der = certificate.der().clone();
        Ok(())
    }

    /// The server's flags that name the files.
    pub fn flags(&self) -> [String; 4] {
        [
            "--tls-certificate".to_owned(),
            self.certificate.display().to_string(),
            "--tls-key".to_owned(),
            self.key.display().to_string(),
        ]
    }

    /// What speaks TLS as a server with the certificate in the files now.
    pub fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        Ok(self.server(ring::default_provider())?.into())
    }

    /// The settings of a server with the certificate in the files now.
    pub fn server(&self, provider: CryptoProvider) -> anyhow::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)?;
        Ok(Arc::new(config))
    }

    /// The settings of a client that trusts the certificate in the files now, and nothing else.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        Ok(builder.with_protocol_versions(versions)?.with_root_certificates(roots).with_no_client_auth())
    }

    /// Does the TLS handshake over a connection.
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> anyhow::Result<TlsStream<S>> {
        let config = self.client(tokio_rustls::rustls::ALL_VERSIONS)?;
        Ok(soon("TLS", connect(config, stream)).await??)
    }

    /// Connects and takes the `init` message.
    pub async fn connect(&self, address: SocketAddr) -> anyhow::Result<TlsClient> {
        let tcp = soon("connecting", TcpStream::connect(address)).await??;
        Client::over(self.over(tcp).await?).await
    }
}

/// A cipher suite of each version whose keys are used up after so many records. They stay for as long as the process.
pub fn suites_of_few_records(records: u64) -> Vec<SupportedCipherSuite> {
    let few = |common: &CipherSuiteCommon| CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: records,
    };
    let suites = [
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ];
    let suites = suites.into_iter().map(|suite| match suite {
        SupportedCipherSuite::Tls13(suite) => {
            let common = few(&suite.common);
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite { common, ..*suite })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            let common = few(&suite.common);
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite { common, ..*suite })))
        }
    });
    suites.collect()
}

/// Does a client's TLS handshake.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    config: ClientConfig,
    stream: S,
) -> std::io::Result<TlsStream<S>> {
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
