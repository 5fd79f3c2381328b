//! A PHP process that behaves as the extension's link does: when it loses its connection it connects again, and sends again what was
//! not confirmed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Call, Order, Producer, Query, Reply, Request};
use serde_bytes::Bytes;

use crate::{PATIENCE, PhpPeer, new_producer};

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

pub struct ResendingPhp {
    address: SocketAddr,
    secret: Vec<u8>,
    producer: Producer,
    peer: PhpPeer,
    seq: u64,
    /// The orders that were not confirmed yet, with their numbers.
    unconfirmed: VecDeque<(u64, Vec<u8>)>,
    /// How often a connection was lost.
    pub reconnects: usize,
}

impl ResendingPhp {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::connect_with(address, b"").await
    }

    /// Connects to a server that wants this secret.
    pub async fn connect_with(address: SocketAddr, secret: &[u8]) -> anyhow::Result<Self> {
        let producer = new_producer();
        let peer = PhpPeer::connect_as(address, producer, secret).await?;
        let secret = secret.to_vec();
        Ok(Self { address, secret, producer, peer, seq: 0, unconfirmed: VecDeque::new(), reconnects: 0 })
    }

    /// Sends an order without waiting for its confirmation.
    pub async fn order(&mut self, order: Order<'_>) -> anyhow::Result<()> {
        self.seq += 1;
        let mut bytes = Vec::new();
        Request { seq: self.seq, call: Call::Order(order) }.encode(&mut bytes)?;
        self.unconfirmed.push_back((self.seq, bytes.clone()));
        if self.peer.write(&bytes).await.is_err() {
            self.reconnect().await?;
        }
        Ok(())
    }

    pub async fn bind(&mut self, client: ClientId, uid: &str) -> anyhow::Result<()> {
        self.order(Order::BindUid { client, uid: Bytes::new(uid.as_bytes()) }).await
    }

    pub async fn send_to_uid(&mut self, uid: &str, message: &str) -> anyhow::Result<()> {
        let (uid, message) = (Bytes::new(uid.as_bytes()), Bytes::new(message.as_bytes()));
        self.order(Order::SendToUids { uids: [uid].into(), message, raw: false }).await
    }

    pub async fn send_to_all(&mut self, message: &str) -> anyhow::Result<()> {
        let message = Bytes::new(message.as_bytes());
        self.order(Order::SendToAll { message, only: None, except: vec![], raw: false }).await
    }

    /// Waits until everything that was sent is confirmed.
    pub async fn confirmed(&mut self) -> anyhow::Result<()> {
        while !self.unconfirmed.is_empty() {
            match self.peer.reply().await {
                Ok(Reply::Ack { seq }) => self.confirm(seq),
                Ok(other) => bail!("{other:?} instead of an ack"),
                Err(_) => self.reconnect().await?,
            }
        }
        Ok(())
    }

    /// Asks, again after a lost connection, until there is an answer.
    pub async fn ask(&mut self, query: Query<'_>) -> anyhow::Result<AnswerValue> {
        self.seq += 1;
        let seq = self.seq;
        let mut bytes = Vec::new();
        Request { seq, call: Call::Query(query) }.encode(&mut bytes)?;
        loop {
            if self.peer.write(&bytes).await.is_err() {
                self.reconnect().await?;
                continue;
            }
            loop {
                match self.peer.reply().await {
                    Ok(Reply::Answer { seq: answered, value }) if answered == seq => {
                        self.confirm(seq);
                        return Ok(value);
                    }
                    Ok(Reply::Ack { seq }) => self.confirm(seq),
                    Ok(other) => bail!("{other:?} instead of an answer"),
                    Err(_) => {
                        self.reconnect().await?;
                        break;
                    }
                }
            }
        }
    }

    fn confirm(&mut self, seq: u64) {
        while self.unconfirmed.front().is_some_and(|(number, _)| *number <= seq) {
            self.unconfirmed.pop_front();
        }
    }

    async fn reconnect(&mut self) -> anyhow::Result<()> {
        self.reconnects += 1;
        let start = Instant::now();
        loop {
            match self.connect_again().await {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > PATIENCE => return Err(error).context("connecting again"),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn connect_again(&mut self) -> anyhow::Result<()> {
        self.peer = PhpPeer::connect_as(self.address, self.producer, &self.secret).await?;
        self.confirm(self.peer.applied);
        for (_, bytes) in &self.unconfirmed {
            self.peer.write(bytes).await?;
        }
        Ok(())
    }
}
