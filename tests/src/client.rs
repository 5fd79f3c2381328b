//! A websocket client that behaves as a browser's does.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_wire::ClientId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::{PhpPeer, Server, soon};

/// Connects from the address `source`, which may be any of 127.0.0.0/8: all of these are this machine.
pub async fn connect_from(source: &str, address: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source.parse()?, 0))?;
    Ok(soon("connecting", socket.connect(address)).await??)
}

pub struct Client<S = TcpStream> {
    pub id: ClientId,
    pub socket: WebSocketStream<S>,
}

impl Client {
    /// Connects and takes the `init` message.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let tcp = soon("connecting", TcpStream::connect(address)).await??;
        Self::over(tcp).await
    }

    /// Connects to a server without a secret, and has itself bound to a uid.
    pub async fn bound(server: &Server, uid: &str) -> anyhow::Result<Self> {
        let client = Self::connect(server.websocket).await?;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        php.bind(client.id, uid).await?;
        php.acked().await?;
        Ok(client)
    }

    /// Does the websocket handshake alone, without taking an `init` message: there may be none.
    pub async fn shake_hands(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<WebSocketStream<TcpStream>> {
        let tcp = soon("connecting", TcpStream::connect(address)).await??;
        shake_hands(tcp, path, headers).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Does the same as [`Client::connect`] on a connection that is already open.
    pub async fn over(stream: S) -> anyhow::Result<Self> {
        Ok(Greeted::over(stream, "/", &[]).await?.client)
    }

    /// Waits for the next message, which must be text. Pings that come before it are answered.
    pub async fn text(&mut self) -> anyhow::Result<Utf8Bytes> {
        next_text(&mut self.socket).await
    }

    /// Waits for the next message of any kind except ping and pong.
    pub async fn message(&mut self) -> anyhow::Result<Message> {
        next_message(&mut self.socket).await
    }

    /// Takes the close frame that must come next; gives its code and reason.
    pub async fn closed(&mut self) -> anyhow::Result<(u16, String)> {
        match self.message().await? {
            Message::Close(Some(frame)) => Ok((frame.code.into(), frame.reason.to_string())),
            other => bail!("{other:?} instead of a close frame with a code"),
        }
    }

    /// Waits for the end of the connection.
    pub async fn gone(&mut self) -> anyhow::Result<()> {
        soon("the connection's end", async { while let Some(Ok(_)) = self.socket.next().await {} }).await
    }

    pub async fn send(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(soon("sending", self.socket.send(message)).await??)
    }

    /// Closes as a browser tab does, and waits until the server has closed the socket.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        soon("closing", self.socket.close(None)).await??;
        self.gone().await
    }
}

/// A client together with the whole `init` message that it was greeted with.
pub struct Greeted<S = TcpStream> {
    pub client: Client<S>,
    pub init: serde_json::Value,
}

impl Greeted {
    pub async fn connect(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let tcp = soon("connecting", TcpStream::connect(address)).await??;
        Self::over(tcp, path, headers).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Greeted<S> {
    pub async fn over(stream: S, path: &str, headers: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let mut socket = shake_hands(stream, path, headers).await?;
        let init = next_text(&mut socket).await?;
        let init: serde_json::Value = serde_json::from_str(&init)?;
        anyhow::ensure!(init["type"] == "init", "{init} is no init message");
        let id = init["client_id"].as_str().context("client_id")?.parse()?;
        Ok(Self { client: Client { id, socket }, init })
    }
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    path: &str,
    headers: &[(&'static str, &str)],
) -> anyhow::Result<WebSocketStream<S>> {
    let mut request = format!("ws://localhost{path}").into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse()?);
    }
    let handshake = tokio_tungstenite::client_async(request, stream);
    Ok(soon("the websocket handshake", handshake).await??.0)
}

async fn next_message<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> anyhow::Result<Message> {
    soon("a message", async {
        loop {
            match socket.next().await.context("the connection ended")?? {
                // tungstenite only queues the pong, so it has to be sent here.
                Message::Ping(_) => socket.flush().await?,
                Message::Pong(_) => {}
                message => return Ok(message),
            }
        }
    })
    .await?
}

pub(crate) async fn next_text<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> anyhow::Result<Utf8Bytes> {
    match next_message(socket).await? {
        Message::Text(text) => Ok(text),
        other => bail!("{other:?} instead of text"),
    }
}
