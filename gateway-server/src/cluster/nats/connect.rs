//! Connecting to a NATS server: TCP, TLS where it is wanted, and the login.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::credentials::Credentials;
use super::protocol::{Info, Malformed, Op, decode};
use crate::cluster::broker::Connection;
use crate::config::Settings;
use crate::net::{NatsAddress, tls};
use crate::system::files::Reads;

/// Bytes of the longest message that is taken from a server during the login.
const MAX_PAYLOAD: usize = 64 << 20;

/// The options that are the same for all addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cluster) struct Options {
    /// The name under which NATS' monitoring lists this connection.
    pub(in crate::cluster) name: String,
    /// The credentials file, or `None` when the servers do not ask for one.
    pub(in crate::cluster) credentials: Option<PathBuf>,
    /// The file of the authorities that the servers' certificates need, or `None` for those that the system trusts.
    pub(in crate::cluster) authorities: Option<PathBuf>,
    /// The files of this node's certificate and key.
    pub(in crate::cluster) certificate: Option<(PathBuf, PathBuf)>,
}

impl Options {
    /// The options that the settings give, under this name.
    pub(in crate::cluster) fn of(settings: &Settings, name: String) -> Self {
        Self {
            name,
            credentials: settings.cluster_credentials.clone(),
            authorities: settings.cluster_tls_ca.clone(),
            certificate: settings.cluster_certificate(),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Debug, thiserror::Error)]
pub(in crate::cluster) enum ConnectError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the server says: {0}")]
    Refused(String),
    #[error("{0}")]
    InTheClear(String),
    #[error("{0}")]
    Settings(String),
}

pub(super) async fn connect(address: &NatsAddress, options: &Options) -> Result<Connection, ConnectError> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    socket.set_nodelay(true)?;
    let mut stream: Box<dyn Stream> = Box::new(socket);
    let mut input = BytesMut::new();
    let mut info = match next(&mut stream, &mut input).await? {
        Op::Info(info) => *info,
        Op::Error(error) => return Err(ConnectError::Refused(error)),
        other => return Err(ConnectError::Refused(format!("{other:?} instead of INFO"))),
    };
    if address.is_tls || info.tls_required {
        // These bytes came before TLS, so an attacker on the path could have put them in and they would pass for the server's.
        if !input.is_empty() {
            return Err(ConnectError::InTheClear(format!(
                "{} bytes came in the clear behind the server's INFO, where TLS has to begin: {:?}",
                input.len(),
                gateway_wire::excerpt(&input)
            )));
        }
        let config = read_in_time(options, |options| {
            let config = tls::client_config(options.authorities.as_deref(), options.certificate.as_ref());
            config.map_err(ConnectError::Settings)
        });
        let config = config.await?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(address.host.clone())
            .map_err(|error| ConnectError::Settings(format!("{}: {error}", address.host)))?;
        stream = Box::new(connector.connect(name, stream).await?);
    }
    let (to, said) = (address.clone(), info.clone());
    let login = read_in_time(options, move |options| login(&to, options, &said)).await?;
    stream.write_all(format!("CONNECT {login}\r\nPING\r\n").as_bytes()).await?;
    stream.flush().await?;
    loop {
        match next(&mut stream, &mut input).await? {
            Op::Pong => break,
            // This replaces what the server said before TLS, as anybody could have said that.
            Op::Info(later) => info = *later,
            Op::Error(error) => return Err(ConnectError::Refused(error)),
            _ => {}
        }
    }
    let (reader, writer) = tokio::io::split(stream);
    Ok(Connection { reader: Box::new(reader), writer: Box::new(writer), input, server: info.into() })
}

/// Reads files in a thread with a time limit, as files that `options` name may hang, and nothing else must hang with them.
async fn read_in_time<T: Send + 'static>(
    options: &Options,
    read: impl FnOnce(&Options) -> Result<T, ConnectError> + Send + 'static,
) -> Result<T, ConnectError> {
    static READS: Reads = Reads::new();
    let options = options.clone();
    READS.run(move || read(&options)).await.map_err(|failed| ConnectError::Settings(failed.to_string()))?
}

async fn next(stream: &mut Box<dyn Stream>, input: &mut BytesMut) -> Result<Op, ConnectError> {
    loop {
        if let Some(op) = decode(input, MAX_PAYLOAD)? {
            return Ok(op);
        }
        if stream.read_buf(input).await? == 0 {
            return Err(ConnectError::Io(io::Error::from(io::ErrorKind::UnexpectedEof)));
        }
    }
}

fn login(address: &NatsAddress, options: &Options, info: &Info) -> Result<String, ConnectError> {
    let mut login = json!({
        "verbose": false,
        "pedantic": false,
        "tls_required": address.is_tls,
        "name": options.name,
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        // The node has already carried out itself what it publishes.
        "echo": false,
    });
    match (&address.user, &address.password) {
        (Some(user), Some(password)) => {
            login["user"] = user.as_str().into();
            login["pass"] = password.as_str().into();
        }
        (Some(token), None) => login["auth_token"] = token.as_str().into(),
        (None, _) => {}
    }
    if let Some(path) = &options.credentials {
        let credentials = Credentials::read(path)
            .map_err(|reason| ConnectError::Settings(format!("{}: {reason}", path.display())))?;
        login["sig"] = credentials.sign(&info.nonce).into();
        login["jwt"] = credentials.jwt.into();
    }
    Ok(login.to_string())
}
