//! The program at the other end of a webhook, played by the test itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use anyhow::Context as _;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::soon;

/// A request that has come, whatever it was answered.
#[derive(Clone, Debug)]
pub struct WebhookRequest {
    /// The first line.
    pub line: String,
    /// The headers, with names in small letters.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// Takes requests, and answers each by the status that is set at that time.
pub struct WebhookReceiver {
    pub address: SocketAddr,
    requests: mpsc::UnboundedReceiver<WebhookRequest>,
    answers: Arc<Answers>,
}

/// The status 0, which stands for no answer at all.
pub const SILENCE: u16 = 0;

struct Answers {
    status: AtomicU16,
    connections: AtomicUsize,
    requests: mpsc::UnboundedSender<WebhookRequest>,
}

impl WebhookReceiver {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let receiver = Self::new(address);
        let answers = Arc::clone(&receiver.answers);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&answers).serve(socket));
            }
        });
        Ok(receiver)
    }

    /// Starts a receiver that speaks TLS by these settings.
    pub async fn start_tls(acceptor: tokio_rustls::TlsAcceptor) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self::new(listener.local_addr()?);
        let answers = Arc::clone(&receiver.answers);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answers, acceptor) = (Arc::clone(&answers), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(socket) = acceptor.accept(socket).await {
                        answers.serve(socket).await;
                    }
                });
            }
        });
        Ok(receiver)
    }

    fn new(address: SocketAddr) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let answers = Answers { status: 204.into(), connections: 0.into(), requests: sender };
        Self { address, requests, answers: answers.into() }
    }

    /// Has requests answered by this status from now on.
    pub fn answer(&self, status: u16) {
        self.answers.status.store(status, Ordering::SeqCst);
    }

    /// How many connections have brought a request.
    pub fn connections(&self) -> usize {
        self.answers.connections.load(Ordering::SeqCst)
    }

    /// Waits for the next request.
    pub async fn request(&mut self) -> anyhow::Result<WebhookRequest> {
        soon("a request to the webhook", self.requests.recv()).await?.context("the receiver has ended")
    }

    /// Gives a request that has come already, if one has.
    pub fn request_at_once(&mut self) -> Option<WebhookRequest> {
        self.requests.try_recv().ok()
    }
}

impl Answers {
    async fn serve(self: Arc<Self>, socket: impl AsyncRead + AsyncWrite + Unpin) {
        let mut socket = BufReader::new(socket);
        let mut is_new = true;
        while let Ok(request) = read(&mut socket).await {
            if std::mem::take(&mut is_new) {
                self.connections.fetch_add(1, Ordering::SeqCst);
            }
            let status = self.status.load(Ordering::SeqCst);
            if self.requests.send(request).is_err() {
                return;
            }
            if status == SILENCE {
                return std::future::pending().await;
            }
            let answer = format!("HTTP/1.1 {status} So\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(socket: &mut BufReader<impl AsyncRead + Unpin>) -> anyhow::Result<WebhookRequest> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        anyhow::ensure!(socket.read_line(&mut line).await? > 0, "the connection has ended");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next().context("no request")?;
    let headers: HashMap<_, _> = lines
        .filter_map(|line| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let length = headers.get("content-length").context("no content-length")?.parse()?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    Ok(WebhookRequest { line, headers, body })
}
