//! The connection to a webhook, which is kept from one request to the next.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::net::{WebhookAddress, tls};

/// The bytes of an answer's body that are read, so that the connection can be used again.
const ANSWER: usize = 64 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a webhook, and keeps the connection.
pub(super) struct Connector {
    address: WebhookAddress,
    /// The TLS settings of an address with https://.
    tls: Option<Arc<ClientConfig>>,
    open: Option<Open>,
}

/// An open connection.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connector {
    pub(super) fn new(address: WebhookAddress, authorities: Option<&Path>) -> Result<Self, String> {
        let tls = address.is_tls().then(|| tls::client_config(authorities, None)).transpose()?.map(Arc::new);
        Ok(Self { address, tls, open: None })
    }

    /// Sends a request, and gives the status of the answer. When this is given up, the connection is closed. A connection that was kept and has ended meanwhile is made anew.
    pub(super) async fn post(
        &mut self,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<StatusCode, String> {
        if let Some(kept) = self.open.take()
            && let Ok(status) = self.exchange(kept, headers, body.clone()).await
        {
            return Ok(status);
        }
        let open = self.connect().await?;
        self.exchange(open, headers, body).await
    }

    async fn exchange(
        &mut self,
        mut open: Open,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<StatusCode, String> {
        open.sender.ready().await.map_err(in_words)?;
        let mut request = Request::post(self.address.path())
            .header(HOST, self.address.authority())
            .header(USER_AGENT, concat!("gateway-server/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(in_words)?;
        let answer = open.sender.send_request(request).await.map_err(in_words)?;
        let status = answer.status();
        // A connection with a longer answer is not used again.
        if Limited::new(answer.into_body(), ANSWER).collect().await.is_ok() && !open.sender.is_closed() {
            self.open = Some(open);
        }
        Ok(status)
    }

    async fn connect(&self) -> Result<Open, String> {
        let socket =
            TcpStream::connect((self.address.host(), self.address.port())).await.map_err(in_words)?;
        socket.set_nodelay(true).map_err(in_words)?;
        let mut stream: Box<dyn Stream> = Box::new(socket);
        if let Some(config) = &self.tls {
            let name = ServerName::try_from(self.address.host().to_owned()).map_err(in_words)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
            stream = Box::new(connector.connect(name, stream).await.map_err(in_words)?);
        }
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(in_words)?;
        let task = tokio::spawn(async move {
            // Whoever sends a request hears of the end of the connection.
            let _ = connection.await;
        });
        Ok(Open { sender, task: task.abort_handle() })
    }
}

fn in_words(error: impl std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
