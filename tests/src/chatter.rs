//! A client of workerman-chat: a person in a chat room.

use std::net::SocketAddr;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::Client;
use crate::client::next_text;
use crate::soon;

pub struct Chatter(WebSocketStream<TcpStream>);

impl Chatter {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(Client::shake_hands(address, "/", &[]).await?))
    }

    /// Enters a room and gives the chat's answer.
    pub async fn login(&mut self, name: &str, room: u32) -> anyhow::Result<Value> {
        self.send(json!({"type": "login", "client_name": name, "room_id": room})).await?;
        self.next().await
    }

    /// Says something to `to`, which is a client id or `all`.
    pub async fn say(&mut self, to: &str, name: &str, content: &str) -> anyhow::Result<()> {
        self.send(json!({"type": "say", "to_client_id": to, "to_client_name": name, "content": content}))
            .await
    }

    pub async fn next(&mut self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&next_text(&mut self.0).await?)?)
    }

    pub async fn leave(mut self) -> anyhow::Result<()> {
        Ok(soon("closing", self.0.close(None)).await??)
    }

    async fn send(&mut self, message: Value) -> anyhow::Result<()> {
        Ok(soon("sending", self.0.send(Message::text(message.to_string()))).await??)
    }
}
