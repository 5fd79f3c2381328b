//! Messages of which PHP asks what has become of them: how many clients have taken one, and what pages answer to a question.

use std::time::{Duration, Instant};

use gateway_wire::bridge::{AnswerValue, Order, Query};
use gateway_wire::client_protocol::AskId;

use super::lists::{bytes, without};
use super::sent_messages::CarriedTracked;
use super::{Gateway, OrderError};
use crate::hub::Reply;
use crate::protocol::Encoded;
use crate::shard::{Delivery, Name, Origin, Stopped};
use crate::system::ages::ago;

/// How long the sockets of clients may take to take a message before it counts as waiting.
const TAKES: Duration = Duration::from_millis(50);
/// The least time between two looks at them.
const LOOK: Duration = Duration::from_millis(2);
/// The longest time for which another node waits for answers before it says how far it has come.
const SLICE: Duration = Duration::from_millis(500);
/// How long a query for the answers to a question waits for the question itself, which it may have overtaken.
const OVERTAKES: Duration = Duration::from_secs(1);

impl Gateway {
    /// Gives what is remembered of messages and questions for another process.
    pub fn carry_tracked(&self) -> CarriedTracked {
        CarriedTracked { sent: self.sent.carry(Instant::now()), asks: self.hub.asks().carry() }
    }

    /// Goes on with what another process remembered.
    pub fn take_over_tracked(&self, carried: CarriedTracked) {
        let now = Instant::now();
        for (id, age, clients) in carried.sent {
            self.sent.add(id, clients, ago(now, Duration::from_millis(age)));
        }
        self.hub.asks().take_over(carried.asks);
    }

    /// Sends a message to clients of this node, and remembers which these are.
    pub(super) async fn send_tracked(
        &self,
        order: &Order<'_>,
        origin: Origin,
    ) -> Result<Result<(), OrderError>, Stopped> {
        let Order::SendTracked { id, message, client, uids, groups, except, asks } = order else {
            return Ok(Ok(()));
        };
        let clients = match (client, uids, groups) {
            (Some(client), ..) => self.local(*client).into_iter().collect(),
            (None, Some(uids), _) => self.clients_of_uids(uids).await?,
            (None, None, Some(groups)) => {
                self.hub.clients(Some(bytes(groups).map(Name::from_slice).collect())).await?
            }
            (None, None, None) => Vec::new(),
        };
        let clients = without(clients, &self.all_except(except));
        if !asks {
            self.sent.add(*id, clients.clone(), Instant::now());
            self.hub.send_to_connections(self.frame(message, false), &clients, origin).await?;
            return Ok(Ok(()));
        }
        let id = AskId(*id);
        let pages = self.hub.pages(&clients).await?;
        let others = without(clients, &pages);
        if let Err(refused) = self.hub.asks().begin(id, &pages, &others) {
            return Ok(Err(OrderError::Refused(refused.to_string())));
        }
        let question = Encoded::with_header(&id.question(message), self.hub.wanted());
        self.hub.send_to_connections(question, &pages, origin).await?;
        Ok(Ok(()))
    }

    /// Answers a query about a message of which this node has sent its part.
    pub(super) async fn tracked_here(&self, query: &Query<'_>) -> Result<AnswerValue, Stopped> {
        match query {
            Query::Delivered { id } => {
                let Delivery { taken, queued, parked, gone } = self.delivered_here(*id).await?;
                let count = |count: usize| AnswerValue::Int(i64::try_from(count).unwrap_or(i64::MAX));
                Ok(AnswerValue::List(vec![count(taken), count(queued + parked), count(gone)]))
            }
            Query::Replies { id, wait } => {
                self.flush();
                let wait = Duration::from_millis((*wait).into());
                let replies = self.hub.asks().replies(AskId(*id), wait).await.unwrap_or_default();
                let entry =
                    |(client, reply)| (AnswerValue::Str(self.id(client).to_bytes().to_vec()), value(reply));
                Ok(AnswerValue::Map(replies.into_iter().map(entry).collect()))
            }
            _ => Ok(AnswerValue::Null),
        }
    }

    /// Looks what has become of a message, and gives sockets that are about to take it the time for that.
    async fn delivered_here(&self, id: u64) -> Result<Delivery, Stopped> {
        let Some(clients) = self.sent.clients(id) else { return Ok(Delivery::default()) };
        self.flush();
        let start = Instant::now();
        loop {
            let looked = Instant::now();
            let delivery = self.hub.delivery(&clients).await?;
            if delivery.queued == 0 || start.elapsed() >= TAKES {
                return Ok(delivery);
            }
            // A look at very many clients takes the shards some time, of which it may have a fifth.
            tokio::time::sleep(LOOK.max(looked.elapsed() * 4)).await;
        }
    }

    /// Says what has become of a message everywhere: a map of the clients that have taken it, of those for whom it waits, and of the
    /// nodes that have not answered.
    pub(super) async fn delivered(&self, id: u64) -> Result<AnswerValue, String> {
        if self.sent.clients(id).is_none() {
            return Err(forgotten());
        }
        let query = Query::Delivered { id };
        let (counts, silent) = self.query_those_that_answer(&query).await?;
        let AnswerValue::List(counts) = counts else { return Err("a node counts nothing".to_owned()) };
        let mut counts = counts.into_iter();
        let mut next = || counts.next().unwrap_or(AnswerValue::Int(0));
        let name = |name: &str| AnswerValue::Str(name.as_bytes().to_vec());
        let silent = silent.iter().map(|node| name(&node.to_string())).collect();
        Ok(AnswerValue::Map(vec![
            (name("taken"), next()),
            (name("waiting"), next()),
            (name("gone"), next()),
            (name("silent"), AnswerValue::List(silent)),
        ]))
    }

    /// Waits for a question that comes by another connection than the query for its answers, as those of PHP's futures do.
    async fn await_question(&self, id: AskId, wait: Duration) -> Result<(), String> {
        let start = Instant::now();
        while !self.hub.asks().knows(id) {
            if start.elapsed() >= wait {
                return Err(forgotten());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits for the answers to a question from all nodes. A client that has not answered in time is given as null.
    pub(super) async fn replies(&self, id: u64, wait: u32) -> Result<AnswerValue, String> {
        let (start, wait) = (Instant::now(), Duration::from_millis(wait.into()));
        self.await_question(AskId(id), wait.min(OVERTAKES)).await?;
        loop {
            let left = wait.saturating_sub(start.elapsed());
            // Nodes answer each other within a time of their own, which may be shorter than that of the question.
            let slice = if self.cluster.is_some() { left.min(SLICE) } else { left };
            let query = Query::Replies { id, wait: u32::try_from(slice.as_millis()).unwrap_or(u32::MAX) };
            let (replies, _) = self.query_those_that_answer(&query).await?;
            let AnswerValue::Map(mut replies) = replies else {
                return Err("a node has no answers".to_owned());
            };
            let is_awaited = |reply: &AnswerValue| *reply == AnswerValue::Bool(false);
            if left.is_zero() || !replies.iter().any(|(_, reply)| is_awaited(reply)) {
                for (_, reply) in &mut replies {
                    if is_awaited(reply) {
                        *reply = AnswerValue::Null;
                    }
                }
                return Ok(AnswerValue::Map(replies));
            }
        }
    }
}

fn value(reply: Reply) -> AnswerValue {
    match reply {
        Reply::Awaited => AnswerValue::Bool(false),
        Reply::Answered(answer) => AnswerValue::Str(answer.into()),
        Reply::Never => AnswerValue::Null,
    }
}

fn forgotten() -> String {
    "what has become of the message is not known any more, as the server was restarted meanwhile or has sent very many others".to_owned()
}
