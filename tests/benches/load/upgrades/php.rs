//! PHP processes that push and ask all the time, and behave as the extension does when their connection is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use gateway_tests::ResendingPhp;
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;
use tokio::task::JoinHandle;

use super::crowd::{BLOCK, Size};
use super::member::Role;
use super::sequence::{Kind, Label, Totals};

/// The orders that are sent before their confirmation is waited for.
const UNCONFIRMED: usize = 500;
/// The uids that an order names at most.
const UIDS: usize = 500;
/// The bytes of a long message: first of one that fills what the kernel and a relay take for a slow client, plain or over TLS, then of
/// those that take the place of what it has read.
const FILLS: usize = 96 << 10;
const FILLS_RELAY: usize = 512 << 10;
const FOLLOWS: usize = 4 << 10;
/// The pause between two questions.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// How often messages are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The time between two messages to each client that is numbered.
    pub(crate) number: Duration,
    /// The time between two broadcasts, if there are any.
    pub(crate) broadcast: Option<Duration>,
}

/// What PHP has asked and been answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) questions: usize,
    pub(crate) longest: Duration,
    /// How often a connection was lost, of all processes together.
    pub(crate) reconnects: usize,
}

/// The PHP processes of one server.
pub(super) struct Php {
    size: Size,
    errands: ResendingPhp,
    long: usize,
    is_over: Arc<AtomicBool>,
    numbers: JoinHandle<anyhow::Result<(usize, usize)>>,
    broadcasts: Option<JoinHandle<anyhow::Result<(usize, usize)>>>,
    questions: JoinHandle<anyhow::Result<Asked>>,
}

impl Php {
    /// Gives each client a uid, makes something wait for the slow ones, and begins to push.
    pub(super) async fn start(
        register: SocketAddr,
        size: Size,
        ids: &[ClientId],
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let mut errands = ResendingPhp::connect(register).await?;
        for (client, id) in ids.iter().enumerate() {
            errands.bind(*id, &uid(client)).await?;
            if client % UNCONFIRMED == 0 {
                errands.confirmed().await?;
            }
        }
        errands.confirmed().await?;
        let is_over = Arc::<AtomicBool>::default();
        let blocks = blocks(size);
        let numbers = until(&is_over, register, pace.number, async move |php, number| {
            for (block, uids) in blocks.iter().enumerate() {
                send(php, uids, &Label { kind: Kind::Number, block, number }.text(0)).await?;
            }
            php.confirmed().await
        });
        let broadcasts = pace.broadcast.map(|every| {
            until(&is_over, register, every, async |php, number| {
                php.send_to_all(&Label { kind: Kind::Broadcast, block: 0, number }.text(0)).await?;
                php.confirmed().await
            })
        });
        let questions = tokio::spawn(ask(register, size.clients, Arc::clone(&is_over)));
        let mut php = Self { size, errands, long: 0, is_over, numbers, broadcasts, questions };
        php.fill().await?;
        Ok(php)
    }

    /// Sends the slow clients something that waits for them.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        let label = Label { kind: Kind::Long, block: 0, number: self.long };
        for over_tls in [false, true] {
            let length = match (self.long, over_tls) {
                (0, false) => FILLS,
                (0, true) => FILLS_RELAY,
                _ => FOLLOWS,
            };
            let slow = self.size.of(|role| role == Role::Slow).filter(|(_, is_tls)| *is_tls == over_tls);
            let uids: Vec<_> = slow.map(|(client, _)| uid(client)).collect();
            for uids in uids.chunks(UIDS) {
                send(&mut self.errands, uids, &label.text(length)).await?;
            }
        }
        self.long += 1;
        self.errands.confirmed().await
    }

    /// Ends the pushes and the questions. Gives how many messages there were.
    pub(super) async fn stop(self) -> anyhow::Result<(Totals, Asked)> {
        self.is_over.store(true, Ordering::Relaxed);
        let (numbers, lost) = self.numbers.await??;
        let (broadcasts, also_lost) = match self.broadcasts {
            Some(broadcasts) => broadcasts.await??,
            None => (0, 0),
        };
        let mut asked = self.questions.await??;
        asked.reconnects += lost + also_lost + self.errands.reconnects;
        Ok((Totals { numbers, broadcasts, long: self.long }, asked))
    }
}

/// Does something at each interval, and at once where that is over already. Gives how often, and how often the connection was lost.
fn until(
    is_over: &Arc<AtomicBool>,
    register: SocketAddr,
    every: Duration,
    mut act: impl AsyncFnMut(&mut ResendingPhp, usize) -> anyhow::Result<()> + 'static,
) -> JoinHandle<anyhow::Result<(usize, usize)>> {
    let is_over = Arc::clone(is_over);
    tokio::task::spawn_local(async move {
        let mut php = ResendingPhp::connect(register).await?;
        let (start, mut times) = (Instant::now(), 0);
        while !is_over.load(Ordering::Relaxed) {
            act(&mut php, times).await?;
            times += 1;
            tokio::time::sleep_until((start + every * times as u32).into()).await;
        }
        Ok((times, php.reconnects))
    })
}

/// Asks how many clients there are, which is always the same.
async fn ask(register: SocketAddr, clients: usize, is_over: Arc<AtomicBool>) -> anyhow::Result<Asked> {
    let mut php = ResendingPhp::connect(register).await?;
    let mut asked = Asked::default();
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answer = php.ask(Query::ClientCount {}).await?;
        ensure!(answer == AnswerValue::Int(clients as i64), "{answer:?} instead of {clients} clients");
        asked.questions += 1;
        asked.longest = asked.longest.max(start.elapsed());
        tokio::time::sleep(ASK_EVERY).await;
    }
    asked.reconnects = php.reconnects;
    Ok(asked)
}

async fn send(php: &mut ResendingPhp, uids: &[String], message: &str) -> anyhow::Result<()> {
    let uids = uids.iter().map(|uid| Bytes::new(uid.as_bytes())).collect();
    php.order(Order::SendToUids { uids, message: Bytes::new(message.as_bytes()), raw: false }).await
}

fn uid(client: usize) -> String {
    format!("u{client}")
}

/// The uids of the clients that are numbered, by their blocks.
fn blocks(size: Size) -> Vec<Vec<String>> {
    let numbered = size.of(|role| matches!(role, Role::Numbered { .. }));
    let uids: Vec<_> = numbered.map(|(client, _)| uid(client)).collect();
    uids.chunks(BLOCK).map(<[String]>::to_vec).collect()
}
