//! What other nodes say, and what becomes of it.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::bridge::frame::HEADER;
use gateway_wire::bridge::{Call, Reply, Request, Value};
use tokio::sync::Semaphore;
use tracing::{debug, error, info, warn};

use super::asks::Answer;
use super::frame::{Header, Kind};
use super::peers::{Beat, News, Receipt, Wish};
use super::subject::To;
use super::{Cluster, Host, Link};
use crate::ops::offence::{self, Offence};

/// Questions of others that are answered at once.
const QUESTIONS: usize = 256;

pub(super) struct Receiver<'a, H> {
    cluster: &'a Arc<Cluster>,
    host: &'a Arc<H>,
    places: Arc<Semaphore>,
}

impl<'a, H: Host> Receiver<'a, H> {
    pub(super) fn new(cluster: &'a Arc<Cluster>, host: &'a Arc<H>) -> Self {
        Self { cluster, host, places: Arc::new(Semaphore::new(QUESTIONS)) }
    }

    pub(super) async fn take(&self, payload: Bytes) {
        let cluster = self.cluster;
        let Some((header, body)) = cluster.seal.open(payload) else {
            let detail = "it was not sealed with this cluster's name and secret_key, or by another version";
            return offence::report(Offence::Cluster, None, &detail);
        };
        if header.instance == cluster.instance {
            return;
        }
        cluster.counts.received.fetch_add(1, Ordering::Relaxed);
        if header.is_introduction() {
            return self.meet(&header, &body);
        }
        if header.kind == Kind::Conflict {
            return self.conflict(&body);
        }
        let receipt = cluster.peers().receive(&header, body, Instant::now());
        match receipt {
            Receipt::Take(body) => self.act(&header, body).await,
            Receipt::Resume(wish) => self.cluster.wish(&wish),
            // A stranger will say who it is, and send again what is missing.
            Receipt::Ignore | Receipt::Stranger => {}
        }
    }

    async fn act(&self, header: &Header, body: Bytes) {
        let cluster = self.cluster;
        match header.kind {
            Kind::Order => match Request::decode(&body) {
                Ok(Request { call: Call::Order(order), .. }) => {
                    if let Err(error) = self.host.obey(&order).await {
                        debug!(error, "an order of another node");
                    }
                }
                Ok(_) => unexpected(header, &"a query"),
                Err(error) => unexpected(header, &error),
            },
            Kind::AskedOrder | Kind::Query => self.answer(header, body).await,
            Kind::Answer => {
                let Some((id, reply)) =
                    body.split_first_chunk().map(|(id, reply)| (u64::from_be_bytes(*id), reply))
                else {
                    return unexpected(header, &"an answer to nothing");
                };
                let answer = match Reply::decode(reply) {
                    Ok(Reply::Answer { value, .. }) => Ok(value),
                    Ok(Reply::Error { message, .. }) => Err(message),
                    Ok(other) => Err(format!("{other:?} instead of an answer")),
                    Err(error) => Err(error.to_string()),
                };
                cluster.asks.answer(id, header.instance, answer);
            }
            Kind::Leave => {
                if let Some(node) = cluster.peers().leave(header.instance) {
                    info!(%node, "a node has left the cluster");
                    cluster.asks.left(header.instance);
                    self.host.gone(node);
                }
            }
            Kind::Resume => {
                let node = cluster.peers().node_of(header.instance);
                if let (Some(node), Some((instance, again, after, within))) = (node, wished(&body))
                    && instance == cluster.instance
                {
                    let lost = cluster.queue().again(node, again, after, within);
                    debug!(%node, after, ?lost, "sends again what may have been missed");
                    cluster.wake.notify_one();
                }
            }
            Kind::Resumed => {
                let lost = number(&body).unwrap_or(0);
                let node = {
                    let mut peers = cluster.peers();
                    peers.resumed(header);
                    peers.node_of(header.instance)
                };
                if lost > 0 {
                    cluster.counts.missed.fetch_add(lost, Ordering::Relaxed);
                    let node = node.map(|node| node.to_string());
                    warn!(
                        node,
                        lost, "so many orders of another node at most did not come, and it has them no more"
                    );
                }
            }
            Kind::Hello | Kind::Beat | Kind::Conflict => {}
        }
    }

    /// A beat, or the first word of a node.
    fn meet(&self, header: &Header, body: &[u8]) {
        let cluster = self.cluster;
        let beat: Beat = match rmp_serde::from_slice(body) {
            Ok(beat) => beat,
            Err(error) => return unexpected(header, &error),
        };
        if beat.node == cluster.node {
            return self.meet_double(header);
        }
        let News { came, gone, resume, skew } =
            cluster.peers().beat(header, &beat, cluster.own(), Instant::now());
        if let Some(seconds) = skew {
            let detail = format!("the clock of node {} differs from this one's by {seconds} s", beat.node);
            return offence::report(Offence::Cluster, None, &detail);
        }
        if let Some(node) = gone {
            info!(%node, "another process has taken the place of a node");
            self.host.gone(node);
        }
        if let Some(node) = came {
            info!(%node, "a node of the cluster is there");
            self.host.came(node);
        }
        if let Some(wish) = resume {
            cluster.wish(&wish);
        }
        if header.kind == Kind::Hello {
            // The count of the last beat, so that none seems to be missing.
            let body = cluster.beat_body(cluster.beats.load(Ordering::Relaxed));
            let _ = cluster.push(To::Node(beat.node), Kind::Beat, body);
        }
    }

    /// Another process says that it has our address. The one that was here first stays; of two that come at once, the one
    /// with the lower instance.
    fn meet_double(&self, header: &Header) {
        let cluster = self.cluster;
        let is_ours = cluster.is_up() || cluster.instance < header.instance;
        if is_ours && header.kind == Kind::Hello {
            let body = Bytes::copy_from_slice(&header.instance.to_be_bytes());
            let _ = cluster.push(To::Node(cluster.node), Kind::Conflict, body);
        }
        if cluster.is_up() {
            let detail = format!("another node has this one's address, {}: set node", cluster.node);
            offence::report(Offence::Cluster, None, &detail);
        }
    }

    fn conflict(&self, body: &[u8]) {
        let cluster = self.cluster;
        if number(body) != Some(cluster.instance) {
            return;
        }
        if cluster.is_up() {
            return error!(node = %cluster.node, "another node has this one's address: set node");
        }
        cluster.link.send_replace(Link::Conflict);
    }

    async fn answer(&self, header: &Header, body: Bytes) {
        let Some(node) = self.cluster.peers().node_of(header.instance) else { return };
        let Some(id) = body.first_chunk().copied() else {
            return unexpected(header, &"a question without a number");
        };
        if header.kind == Kind::AskedOrder {
            let done = match Request::decode(&body[8..]) {
                Ok(Request { call: Call::Order(order), .. }) => self.host.obey(&order).await,
                Ok(_) => Err("a query where an order was expected".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            self.host.settle();
            let cluster = Arc::clone(self.cluster);
            tokio::spawn(async move {
                // Whoever hears that it is done may push to it.
                cluster.settled().await;
                cluster.answer(node, id, done.map(|()| Value::Null));
            });
            return;
        }
        // Nobody is kept from ordering by those who ask.
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let message = "the node has too many questions to answer".to_owned();
            return self.cluster.answer(node, id, Err(message));
        };
        let (host, cluster) = (Arc::clone(self.host), Arc::clone(self.cluster));
        tokio::spawn(async move {
            let answer = match Request::decode(&body[8..]) {
                Ok(Request { call: Call::Query(query), .. }) => host.answer(&query).await,
                Ok(_) => Err("an order where a query was expected".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            cluster.answer(node, id, answer);
            drop(place);
        });
    }
}

impl Cluster {
    pub(super) fn wish(&self, wish: &Wish) {
        let Wish { node, after, .. } = *wish;
        debug!(%node, after, "has everything sent again that came later");
        // If there is no room, it is wished for again.
        let _ = self.push(To::Node(node), Kind::Resume, wish.body());
    }

    fn answer(&self, node: SocketAddrV4, id: [u8; 8], answer: Answer) {
        let mut frame = Vec::new();
        let encoded = match answer {
            Ok(value) => Reply::Answer { seq: 0, value }.encode(&mut frame),
            Err(message) => Reply::Error { seq: 0, message }.encode(&mut frame),
        };
        if let Err(error) = encoded {
            let message = format!("the answer is too large: {error}");
            // An error text is far below the limit.
            let _ = Reply::Error { seq: 0, message }.encode(&mut frame);
        }
        let body = [&id, frame.get(HEADER..).unwrap_or_default()].concat();
        // Whoever asked says that there is none.
        let _ = self.push(To::Node(node), Kind::Answer, body.into());
    }
}

impl Wish {
    pub(super) fn body(&self) -> Bytes {
        let Self { instance, again, after, within, .. } = self;
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        [&instance.to_be_bytes()[..], &again.to_be_bytes(), &after.to_be_bytes(), &within.to_be_bytes()]
            .concat()
            .into()
    }
}

/// The instance, the number of the wish, after which number, and how long ago at most.
fn wished(body: &[u8]) -> Option<(u64, u32, u64, Duration)> {
    let (instance, rest) = body.split_first_chunk()?;
    let (again, rest) = rest.split_first_chunk()?;
    let (after, within) = rest.split_first_chunk()?;
    let within = Duration::from_millis(number(within)?);
    Some((u64::from_be_bytes(*instance), u32::from_be_bytes(*again), u64::from_be_bytes(*after), within))
}

fn number(body: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*body.first_chunk()?))
}

fn unexpected(header: &Header, detail: &dyn std::fmt::Display) {
    offence::report(Offence::Cluster, None, &format!("{:?} of a node: {detail}", header.kind));
}
