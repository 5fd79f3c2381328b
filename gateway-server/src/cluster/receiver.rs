//! The receiver of other nodes' frames, which carries out what they ask for.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use gateway_wire::bridge::frame::HEADER;
use gateway_wire::bridge::{AnswerValue, Call, Reply, Request};
use tokio::sync::{Semaphore, oneshot};
use tracing::{debug, error, info, warn};

use super::authenticator::FrameRejection;
use super::frame::{FrameKind, Header};
use super::heartbeat::{Greeting, Heartbeat, Proof};
use super::membership::{MembershipNews, Receipt, Resume};
use super::pending_requests::Answer;
use super::resend::ResendRequest;
use super::rest::{Held, Question};
use super::strangers::Approach;
use super::subject::SubjectTarget;
use super::{Cluster, Host, LinkState, move_request};
use crate::shard::Origin;
use crate::telemetry::abuse_log::{self, Offence};

/// Number of queries of other nodes that are answered at the same time.
const MAX_QUERIES: usize = 256;

pub(super) struct Receiver<'a, H> {
    cluster: &'a Arc<Cluster>,
    host: &'a Arc<H>,
    query_permits: Arc<Semaphore>,
}

impl<'a, H: Host> Receiver<'a, H> {
    pub(super) fn new(cluster: &'a Arc<Cluster>, host: &'a Arc<H>) -> Self {
        Self { cluster, host, query_permits: Arc::new(Semaphore::new(MAX_QUERIES)) }
    }

    pub(super) async fn take(&self, payload: Bytes) {
        let cluster = self.cluster;
        let (header, body) = match cluster.authenticator.open(payload) {
            Ok(frame) => frame,
            Err(refusal) => {
                if let FrameRejection::OtherRelease(_) = refusal {
                    cluster.membership().hear_other_release(Instant::now());
                }
                return self.ignore(&refusal);
            }
        };
        if header.instance == cluster.instance && cluster.is_of_process_before(&header) {
            return;
        }
        if header.instance == cluster.instance {
            // The server does not deliver a node's own frames to it (`echo` is off), so this is a recording.
            return self.recorded(&header);
        }
        cluster.counts.received.fetch_add(1, Ordering::Relaxed);
        if header.is_introduction() {
            return self.meet(&header, &body);
        }
        if header.kind == FrameKind::Conflict {
            return self.conflict(&body);
        }
        // The fence is passed before the number counts as received.
        let _passage = if header.kind.is_numbered() { Some(cluster.pass().await) } else { None };
        let receipt = cluster.membership().receive(&header, body, Instant::now());
        match receipt {
            Receipt::Take(body) => self.act(&header, body).await,
            Receipt::Resume(resume) => self.cluster.request_resend(&resume),
            Receipt::Ignore => {}
            // A sender that lives will introduce itself and send again what is missing.
            Receipt::Stranger => {
                cluster.counts.ignored.fetch_add(1, Ordering::Relaxed);
            }
            Receipt::Recorded => self.recorded(&header),
        }
    }

    /// Takes the frames that were held, in their order.
    pub(super) async fn take_held(&self, held: &mut Held) {
        while let Some(frame) = held.pop() {
            self.take(frame).await;
        }
    }

    /// Takes a frame before those that are held if it answers this node, so that what this node has begun comes to its end. The frame is
    /// taken again in its turn, when nobody waits for it any more.
    pub(super) fn take_answer(&self, payload: Bytes) {
        let Ok((header, body)) = self.cluster.authenticator.open(payload) else { return };
        let is_whole = header.is_first && !header.has_more;
        let is_news = || is_whole && self.cluster.membership().is_news(&header);
        match header.kind {
            FrameKind::Answer if is_news() => self.answered(&header, &body),
            FrameKind::Echo if is_news() => self.echoed(&body),
            _ => {}
        }
    }

    /// Whether the frame is one that its sender sends again if it is asked to.
    pub(super) fn is_numbered(&self, payload: Bytes) -> bool {
        self.cluster.authenticator.open(payload).is_ok_and(|(header, _)| header.kind.is_numbered())
    }

    fn recorded(&self, header: &Header) {
        self.ignore(&format!("{:?} of a node came again: somebody sends what he has recorded", header.kind));
    }

    fn ignore(&self, detail: &dyn std::fmt::Display) {
        self.cluster.counts.ignored.fetch_add(1, Ordering::Relaxed);
        abuse_log::report(Offence::Cluster, None, detail);
    }

    async fn act(&self, header: &Header, body: Bytes) {
        let cluster = self.cluster;
        match header.kind {
            FrameKind::Order => match Request::decode(&body) {
                Ok(Request { call: Call::Order(order), .. }) => {
                    let origin = Origin::published(header.instance, header.number);
                    if let Err(error) = self.host.execute(&order, origin).await {
                        debug!(error, "an order of another node");
                    }
                }
                Ok(_) => unexpected(header, &"a query"),
                Err(error) => unexpected(header, &error),
            },
            FrameKind::AskedOrder | FrameKind::Query | FrameKind::Move => self.answer(header, body).await,
            FrameKind::AskMark => match body.first_chunk() {
                Some(id) => cluster.mark(header, *id),
                None => unexpected(header, &"a question without a number"),
            },
            FrameKind::Mark => cluster.marked(header, &body),
            FrameKind::Answer => self.answered(header, &body),
            FrameKind::Leave => {
                if let Some(node) = cluster.membership().leave(header.instance) {
                    info!(%node, "a node has left the cluster");
                    cluster.pending.node_left(header.instance);
                    self.host.node_left(node);
                }
            }
            FrameKind::Resume => {
                if let Some((instance, request)) = ResendRequest::decode(&body)
                    && instance == cluster.instance
                {
                    let node = cluster.membership().asks(header.instance, request, Instant::now());
                    if let Some(node) = node {
                        cluster.send_again(node, request);
                    }
                }
            }
            FrameKind::Resumed => {
                let lost = number(&body).unwrap_or(0);
                let node = {
                    let mut membership = cluster.membership();
                    membership.resumed(header);
                    membership.node_of(header.instance)
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
            FrameKind::Probe => {
                let node = cluster.membership().node_of(header.instance);
                if let (Some(node), Some(wanted)) = (node, number(&body)) {
                    let server = cluster.server.load(Ordering::Relaxed);
                    let body = [wanted.to_be_bytes(), server.to_be_bytes()].concat();
                    // If there is no room for the echo, the node probes again.
                    let _ = cluster.push(SubjectTarget::Node(node), FrameKind::Echo, body.into());
                }
            }
            FrameKind::Echo => self.echoed(&body),
            FrameKind::Hello | FrameKind::Heartbeat | FrameKind::Greeting | FrameKind::Conflict => {}
        }
    }

    fn answered(&self, header: &Header, body: &[u8]) {
        let Some((id, reply)) = body.split_first_chunk() else {
            return unexpected(header, &"an answer to nothing");
        };
        let answer = match Reply::decode(reply) {
            Ok(Reply::Answer { value, .. }) => Ok(value),
            Ok(Reply::Error { message, .. }) => Err(message),
            Ok(other) => Err(format!("{other:?} instead of an answer")),
            Err(error) => Err(error.to_string()),
        };
        self.cluster.pending.answer(u64::from_be_bytes(*id), header.instance, answer);
    }

    fn echoed(&self, body: &[u8]) {
        if let (Some(wanted), Some(server)) = (number(body), body.get(8..).and_then(number)) {
            self.cluster.subscriptions.echoed(server, wanted);
        }
    }

    /// Takes in the introduction of a node, which is a heartbeat, a greeting or a hello.
    fn meet(&self, header: &Header, body: &[u8]) {
        let cluster = self.cluster;
        let introduction = if header.kind == FrameKind::Greeting {
            rmp_serde::from_slice(body).map(|greeting: Greeting| {
                let Greeting { heartbeat, to, nonce, wants_answer } = greeting;
                (heartbeat, Some((to, Proof { nonce, wants_answer })))
            })
        } else {
            rmp_serde::from_slice(body).map(|heartbeat: Heartbeat| (heartbeat, None))
        };
        let (heartbeat, greeting) = match introduction {
            Ok(introduction) => introduction,
            Err(error) => return unexpected(header, &error),
        };
        if greeting.is_some_and(|(to, _)| to != cluster.instance) {
            // The greeting is for a process that had this address before, or for another one that has it now.
            cluster.counts.ignored.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if heartbeat.node == cluster.node {
            return self.meet_double(header);
        }
        let proof = greeting.map(|(_, proof)| proof);
        let MembershipNews { came, gone, resume, stranger, is_recorded } =
            cluster.membership().hear(header, &heartbeat, proof, cluster.own(), Instant::now());
        if is_recorded {
            return self.recorded(header);
        }
        if let Some(approach) = stranger {
            if approach == Approach::Suspect {
                let node = heartbeat.node;
                self.ignore(&format!(
                    "it says that it is node {node}, and does not answer: somebody sends what he has recorded, or nothing \
                     gets there"
                ));
            } else {
                cluster.counts.ignored.fetch_add(1, Ordering::Relaxed);
            }
            if approach != Approach::Wait {
                cluster.greet(header, &heartbeat, true);
            }
            return;
        }
        cluster.proven.notify_waiters();
        if let Some(node) = gone {
            info!(%node, "another process has taken the place of a node");
            self.host.node_left(node);
        }
        if let Some(node) = came {
            info!(%node, "a node of the cluster is there");
            self.host.node_joined(node);
        }
        // The greeting is sent first, as the node ignores all frames before it.
        if header.kind == FrameKind::Hello || proof.is_some_and(|proof| proof.wants_answer) {
            cluster.greet(header, &heartbeat, false);
        }
        if let Some(resume) = resume {
            cluster.request_resend(&resume);
        }
    }

    /// Resolves the conflict with another process that has this node's address. The process that was here first stays; of two
    /// that start at the same time, the one with the lower instance stays.
    fn meet_double(&self, header: &Header) {
        let cluster = self.cluster;
        let is_ours = cluster.is_up() || cluster.instance < header.instance;
        if is_ours && header.kind == FrameKind::Hello {
            let body = Bytes::copy_from_slice(&header.instance.to_be_bytes());
            let _ = cluster.push(SubjectTarget::Node(cluster.node), FrameKind::Conflict, body);
        }
        if cluster.is_up() {
            let detail = format!("another node has this one's address, {}: set node", cluster.node);
            abuse_log::report(Offence::Cluster, None, &detail);
        }
    }

    fn conflict(&self, body: &[u8]) {
        let cluster = self.cluster;
        if number(body) != Some(cluster.instance) {
            return;
        }
        // A process that goes on as one before it was here first.
        if cluster.is_up() || cluster.epoch_before.load(Ordering::Relaxed) > 0 {
            return error!(node = %cluster.node, "another node has this one's address: set node");
        }
        cluster.link.send_replace(LinkState::Conflict);
    }

    async fn answer(&self, header: &Header, body: Bytes) {
        let Some(node) = self.cluster.membership().node_of(header.instance) else { return };
        let Some(id) = body.first_chunk().copied() else {
            return unexpected(header, &"a question without a number");
        };
        if header.kind == FrameKind::AskedOrder {
            return self.answer_order(header, node, id, body).await;
        }
        // Queries beyond the bound are refused and never wait, as orders would wait behind them.
        let Ok(permit) = Arc::clone(&self.query_permits).try_acquire_owned() else {
            let message = "the node has too many questions to answer".to_owned();
            return self.cluster.answer(node, id, Err(message));
        };
        let (host, cluster) = (Arc::clone(self.host), Arc::clone(self.cluster));
        let question = Question::of(Arc::clone(&cluster));
        if header.kind == FrameKind::Move {
            tokio::spawn(async move {
                let reply = match move_request::decode(&body[8..]) {
                    Ok(request) => move_request::encode(&host.answer_about_move(request).await),
                    Err(error) => Err(error),
                };
                cluster.answer(node, id, reply);
                drop((permit, question));
            });
            return;
        }
        tokio::spawn(async move {
            let answer = match Request::decode(&body[8..]) {
                Ok(Request { call: Call::Query(query), .. }) => host.answer(&query).await,
                Ok(_) => Err("an order where a query was expected".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            cluster.answer(node, id, answer);
            drop((permit, question));
        });
    }

    /// Carries out an order whose sender waits for its outcome. Ends when the order has been carried out on the clients of this node,
    /// since the next order must not overtake it. The rest is left to a task: it asks the nodes of clients that have gone on, whose
    /// answers come through this receiver.
    async fn answer_order(&self, header: &Header, node: SocketAddrV4, id: [u8; 8], body: Bytes) {
        let (host, cluster) = (Arc::clone(self.host), Arc::clone(self.cluster));
        let origin = Origin::published(header.instance, header.number);
        let question = Question::of(Arc::clone(&cluster));
        let (here, is_done_here) = oneshot::channel();
        // The order borrows from the body, so one future has both, and goes on in the task.
        let mut whole = Box::pin(async move {
            let order = match Request::decode(&body[8..]) {
                Ok(Request { call: Call::Order(order), .. }) => Ok(order),
                Ok(_) => Err("a query where an order was expected".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let done = match &order {
                Ok(order) => host.execute(order, origin).await,
                Err(error) => Err(error.clone()),
            };
            host.flush();
            // Nobody waits any more if the receiver has ended.
            let _ = here.send(());
            let moved = match &order {
                Ok(order) => host.execute_for_moved(order).await,
                Err(_) => Ok(()),
            };
            // The PHP process that hears of the success may push to the client at once, so the subscription has to be in effect.
            cluster.settled().await;
            cluster.answer(node, id, done.and(moved).map(|()| AnswerValue::Null));
            drop(question);
        });
        tokio::select! {
            biased;
            _ = is_done_here => drop(tokio::spawn(whole)),
            () = &mut whole => {}
        }
    }
}

impl Cluster {
    /// Shows a node that this one lives. With `wants_answer` the other node has to do the same.
    fn greet(&self, header: &Header, heartbeat: &Heartbeat, wants_answer: bool) {
        let greeting = Greeting {
            // The count is that of the last heartbeat, so that no heartbeat seems to be missing.
            heartbeat: self.own_heartbeat(self.heartbeats.load(Ordering::Relaxed)),
            to: header.instance,
            nonce: heartbeat.nonce,
            wants_answer,
        };
        // Encoding plain numbers cannot fail. If there is no room for the greeting, the node is greeted when it is heard again.
        let body = rmp_serde::to_vec(&greeting).unwrap_or_default();
        let _ = self.push(SubjectTarget::Node(heartbeat.node), FrameKind::Greeting, body.into());
    }

    pub(super) fn send_again(&self, node: SocketAddrV4, request: ResendRequest) {
        let lost = self.queue().send_again(node, request);
        debug!(%node, after = request.after, ?lost, "sends again what may have been missed");
        self.wake.notify_one();
    }

    pub(super) fn request_resend(&self, resume: &Resume) {
        let Resume { node, instance, request } = *resume;
        debug!(%node, after = request.after, "has everything sent again that came later");
        // If there is no room for the request, it is made again later.
        let _ = self.push(SubjectTarget::Node(node), FrameKind::Resume, request.encode(instance));
    }

    fn answer(&self, node: SocketAddrV4, id: [u8; 8], answer: Answer) {
        let mut frame = Vec::new();
        let encoded = match answer {
            Ok(value) => Reply::Answer { seq: 0, value }.encode(&mut frame),
            Err(message) => Reply::Error { seq: 0, message }.encode(&mut frame),
        };
        if let Err(error) = encoded {
            let message = format!("the answer is too large: {error}");
            // The error's text is far shorter than an answer may be.
            let _ = Reply::Error { seq: 0, message }.encode(&mut frame);
        }
        let body = [&id, frame.get(HEADER..).unwrap_or_default()].concat();
        // If there is no room for the answer, the asking node reports that none came.
        let _ = self.push(SubjectTarget::Node(node), FrameKind::Answer, body.into());
    }
}

fn number(body: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*body.first_chunk()?))
}

fn unexpected(header: &Header, detail: &dyn std::fmt::Display) {
    abuse_log::report(Offence::Cluster, None, &format!("{:?} of a node: {detail}", header.kind));
}
