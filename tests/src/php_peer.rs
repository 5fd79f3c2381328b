//! A PHP process of the bridge protocol that is played by the test itself, so that a test can also say what no real one would
//! say.

use anyhow::{Context as _, bail, ensure};
use gateway_wire::ClientId;
use gateway_wire::bridge::{
    AnswerValue, Call, Login, NONCE_BYTES, Nonce, Order, PREFACE, Producer, Query, Reply, Request, frame,
    kind,
};
use serde_bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs, UnixStream};

use crate::soon;
use crate::tracked_send::TrackedSend;

/// The nonce over which the server proves to the tests' peers that it knows the secret.
pub const OWN_NONCE: Nonce = [6; NONCE_BYTES];

pub struct PhpPeer {
    socket: Box<dyn Stream>,
    input: Vec<u8>,
    /// The number of the last call.
    pub seq: u64,
    /// The number of the last call of this producer that the server had applied before this login.
    pub applied: u64,
    pub instance: u64,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl PhpPeer {
    /// Logs in as a new PHP process, without a secret.
    pub async fn connect(address: impl ToSocketAddrs) -> anyhow::Result<Self> {
        Self::connect_as(address, new_producer(), b"").await
    }

    pub async fn connect_as(
        address: impl ToSocketAddrs,
        producer: Producer,
        secret: &[u8],
    ) -> anyhow::Result<Self> {
        let socket = soon("connecting", TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        Self::login(Box::new(socket), producer, secret).await
    }

    pub async fn connect_unix(path: &std::path::Path) -> anyhow::Result<Self> {
        let socket = soon("connecting", UnixStream::connect(path)).await??;
        Self::login(Box::new(socket), new_producer(), b"").await
    }

    /// Logs in on a connection that is already open.
    pub async fn over(socket: TcpStream) -> anyhow::Result<Self> {
        Self::login(Box::new(socket), new_producer(), b"").await
    }

    async fn login(socket: Box<dyn Stream>, producer: Producer, secret: &[u8]) -> anyhow::Result<Self> {
        let mut peer = Self { socket, input: Vec::new(), seq: 0, applied: 0, instance: 0 };
        peer.write(&PREFACE).await?;
        let Reply::Hello { nonce, instance } = peer.reply().await? else { bail!("no hello") };
        peer.instance = instance;
        let mut login = Vec::new();
        let ours = Login::new(Login::PHP, producer, secret, &nonce, OWN_NONCE);
        ours.encode(&mut login)?;
        peer.write(&login).await?;
        match peer.reply().await? {
            Reply::Welcome { applied, proof } => {
                ensure!(ours.is_answered(secret, &nonce, &proof), "the server does not prove itself");
                peer.applied = applied;
                peer.seq = applied;
                Ok(peer)
            }
            Reply::Error { message, .. } => bail!(message),
            other => bail!("{other:?} instead of a welcome"),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(soon("writing", self.socket.write_all(bytes)).await??)
    }

    pub async fn reply(&mut self) -> anyhow::Result<Reply> {
        soon("a reply", async {
            loop {
                if let Some(length) = frame::content_length(&self.input, frame::MAX_REPLY)? {
                    let rest = self.input.split_off(frame::HEADER + length);
                    let content = std::mem::replace(&mut self.input, rest);
                    return Ok(Reply::decode(&content[frame::HEADER..])?);
                }
                let mut more = [0; 4096];
                match self.socket.read(&mut more).await? {
                    0 => bail!("the server closed the bridge"),
                    length => self.input.extend_from_slice(&more[..length]),
                }
            }
        })
        .await?
    }

    /// Sends an order without waiting for its ack; gives its number.
    pub async fn order(&mut self, order: Order<'_>) -> anyhow::Result<u64> {
        self.seq += 1;
        let mut bytes = Vec::new();
        Request { seq: self.seq, call: Call::Order(order) }.encode(&mut bytes)?;
        self.write(&bytes).await?;
        Ok(self.seq)
    }

    /// Waits until everything that was sent so far is acked.
    pub async fn acked(&mut self) -> anyhow::Result<()> {
        loop {
            match self.reply().await? {
                Reply::Ack { seq } if seq == self.seq => return Ok(()),
                Reply::Ack { seq } if seq < self.seq => {}
                other => bail!("{other:?} instead of an ack"),
            }
        }
    }

    pub async fn ask(&mut self, query: Query<'_>) -> anyhow::Result<AnswerValue> {
        self.ask_behind(&[], query).await
    }

    /// Does the same in one piece with orders before it.
    pub async fn ask_behind(
        &mut self,
        orders: &[Order<'_>],
        query: Query<'_>,
    ) -> anyhow::Result<AnswerValue> {
        let mut bytes = Vec::new();
        for order in orders {
            self.seq += 1;
            Request { seq: self.seq, call: Call::Order(order.clone()) }.encode(&mut bytes)?;
        }
        self.seq += 1;
        Request { seq: self.seq, call: Call::Query(query) }.encode(&mut bytes)?;
        self.write(&bytes).await?;
        loop {
            match self.reply().await? {
                Reply::Answer { seq, value } if seq == self.seq => return Ok(value),
                Reply::Ack { .. } => {}
                other => bail!("{other:?} instead of an answer"),
            }
        }
    }

    pub async fn bind(&mut self, client: ClientId, uid: &str) -> anyhow::Result<()> {
        self.order(Order::BindUid { client, uid: Bytes::new(uid.as_bytes()) }).await.map(drop)
    }

    pub async fn send_to_uid(&mut self, uid: &str, message: &str) -> anyhow::Result<()> {
        let (uid, message) = (Bytes::new(uid.as_bytes()), Bytes::new(message.as_bytes()));
        self.order(Order::SendToUids { uids: [uid].into(), message, raw: false }).await.map(drop)
    }

    pub async fn send_to_all(&mut self, message: &str) -> anyhow::Result<()> {
        let message = Bytes::new(message.as_bytes());
        self.order(Order::SendToAll { message, only: None, except: vec![], raw: false }).await.map(drop)
    }

    /// Asks the page of a client, by a question with this number.
    pub async fn ask_page(&mut self, id: u64, client: ClientId, question: &str) -> anyhow::Result<()> {
        let to = TrackedSend { client: Some(client), asks: true, ..TrackedSend::default() };
        self.order(to.order(id, question)).await.map(drop)
    }

    /// Keeps a message for a uid, under this id.
    pub async fn deliver(&mut self, uid: &str, id: &str, message: &str) -> anyhow::Result<()> {
        self.deliver_to(uid.as_bytes(), id, message).await
    }

    /// Delivers a message to a uid that may have any bytes.
    pub async fn deliver_to(&mut self, uid: &[u8], id: &str, message: &str) -> anyhow::Result<()> {
        let [uid, id, message] = [uid, id.as_bytes(), message.as_bytes()].map(Bytes::new);
        let (ttl, replace, for_new_devices, kind) = (3600, None, false, kind::USUAL);
        self.order(Order::Deliver { uid, id, message, ttl, replace, for_new_devices, kind }).await.map(drop)
    }

    pub async fn close_client(&mut self, client: ClientId) -> anyhow::Result<()> {
        self.order(Order::Close { client, last: None }).await.map(drop)
    }

    pub async fn clients_of(&mut self, uid: &str) -> anyhow::Result<Vec<ClientId>> {
        self.ids(Query::ClientsOfUid { uid: Bytes::new(uid.as_bytes()) }).await
    }

    /// The ids of all clients.
    pub async fn clients(&mut self) -> anyhow::Result<Vec<ClientId>> {
        self.ids(Query::Clients { groups: None }).await
    }

    async fn ids(&mut self, query: Query<'_>) -> anyhow::Result<Vec<ClientId>> {
        let value = self.ask(query).await?;
        let AnswerValue::List(ids) = value else { bail!("{value:?} instead of a list") };
        ids.into_iter()
            .map(|id| match id {
                AnswerValue::Str(bytes) => {
                    Ok(ClientId::from_bytes(bytes.try_into().ok().context("a client id of 10 bytes")?))
                }
                other => bail!("{other:?} instead of a client id"),
            })
            .collect()
    }

    pub async fn count(&mut self) -> anyhow::Result<AnswerValue> {
        self.ask(Query::ClientCount {}).await
    }
}

/// Makes a producer id that no other producer of this test run has.
pub fn new_producer() -> Producer {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Producer(id)
}
