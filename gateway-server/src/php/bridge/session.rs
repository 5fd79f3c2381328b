//! A bridge connection from its login to its end.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use gateway_wire::bridge::{Call, DecodeError, Login, MAX_ELEMENTS, Query, Reply, Request, frame};

use super::durable_orders::DurableOrders;
use super::goodbye::hang_up;
use super::io::{Connection, Ended};
use super::login::login;
use super::producers::ProducerLease;
use super::worker;
use crate::php::backend::Backend;
use crate::php::carry::attendance::{GRACE, Presence, Rest};
use crate::php::carry::form::StateAtRest;
use crate::php::memory_budget::may_carry_out;
use crate::php::stream::{ConnectionSlot, Stream};

/// Serves a connection to its end. A worker's may come to rest before; that of calls ends then, as PHP comes again and sends again
/// what was not confirmed.
pub(in crate::php) async fn serve(
    socket: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    backend: &Backend,
    timeout: Duration,
    permit: &ConnectionSlot,
    presence: &Presence<'_>,
) -> Option<(StateAtRest, Vec<OwnedFd>)> {
    let bridge = &backend.bridge;
    let mut connection = Connection::new(socket, backend.budget.held());
    let logged_in = tokio::select! {
        biased;
        logged_in = login(&mut connection, peer, bridge, timeout) => logged_in,
        () = backend.attendance.late() => Err(Ended::AtRest),
    };
    let ended = match logged_in {
        // The slot went to another connection before this one logged in, so this one ends.
        Ok(_) if !permit.prove() => return None,
        Ok((login, proof)) if login.role == Login::WORKER => {
            connection.trust();
            connection.reply(&Reply::Welcome { applied: 0, proof });
            match Box::pin(worker::serve(&mut connection, backend, timeout, presence)).await {
                Ok(Some(at_rest)) => return Some(at_rest),
                Ok(None) => Ok(()),
                Err(ended) => Err(ended),
            }
        }
        Ok((login, proof)) => {
            connection.trust();
            let mut lease = bridge.producers.take(login.producer).await;
            // What failed is to come again, so that PHP hears of it.
            let applied = lease.progress.refused.settled(lease.progress.applied);
            connection.reply(&Reply::Welcome { applied, proof });
            let result = Box::pin(session(&mut connection, backend, &mut lease)).await;
            bridge.producers.leave(lease);
            result
        }
        Err(ended) => Err(ended),
    };
    hang_up(connection, peer, ended).await;
    None
}

async fn session(
    connection: &mut Connection,
    backend: &Backend,
    lease: &mut ProducerLease,
) -> Result<(), Ended> {
    let Backend { gateway, .. } = backend;
    let (wanted, called) = (lease.wanted(), backend.attendance.called(Rest::Calls));
    tokio::pin!(wanted, called);
    let mut durable = DurableOrders::default();
    loop {
        // A newer connection takes over between frames only, so that no order is left half applied.
        tokio::select! {
            biased;
            () = &mut wanted => return Err(Ended::TakenOver),
            () = &mut called => {
                // A peer that does not take its answers in time asks again.
                let _ = tokio::time::timeout(GRACE, connection.flush()).await;
                return Err(Ended::AtRest);
            }
            exchanged = connection.flush_and_read() => exchanged?,
        }
        let mut acked = None;
        let taken =
            take(connection, backend, lease, &mut durable, (&mut wanted, &mut called), &mut acked).await;
        // What was carried out takes effect and is acknowledged even when a broken frame follows it.
        gateway.flush();
        durable.settle(connection, lease).await;
        if let Some(seq) = acked {
            gateway.await_bindings().await;
            connection.reply(&Reply::Ack { seq });
        }
        taken?;
    }
}

/// Carries out all complete frames that were read. Sets `acked` to the last order's sequence number, unless a later query's
/// answer acknowledges it. `wanted` completes when a newer connection takes over, and `called` when PHP is to come to rest.
async fn take(
    connection: &mut Connection,
    backend: &Backend,
    lease: &mut ProducerLease,
    durable: &mut DurableOrders,
    (wanted, called): (&mut (impl Future<Output = ()> + Unpin), &mut (impl Future<Output = ()> + Unpin)),
    acked: &mut Option<u64>,
) -> Result<(), Ended> {
    let Backend { gateway, budget, attendance, .. } = backend;
    while let Some(frames) = connection.read_frames(frame::MAX_CALL)? {
        for content in frame::contents(&frames) {
            let bad = |error: DecodeError| Ended::Refused(format!("a bad call: {error}"));
            let room = budget.room_for(content.len(), || Request::elements(content)).await;
            if let Some(seq) = Request::with_too_many_elements(content).map_err(bad)? {
                let message =
                    format!("a call has more than {MAX_ELEMENTS} names or clients: make several of it");
                durable.settle(connection, lease).await;
                connection.reply(&Reply::Error { seq, message });
                lease.progress.applied = seq.max(lease.progress.applied);
                *acked = Some(lease.progress.applied);
                continue;
            }
            if may_carry_out(content.len(), || Request::elements(content)).is_err() {
                let seq = Request::seq(content).map_err(bad)?;
                let message = "the server has no memory for this call now: send less, or later".to_owned();
                durable.settle(connection, lease).await;
                connection.reply(&Reply::Error { seq, message });
                lease.progress.applied = seq.max(lease.progress.applied);
                *acked = Some(lease.progress.applied);
                continue;
            }
            let request = Request::decode(content).map_err(bad)?;
            durable.note_begin(request.seq, lease);
            match &request.call {
                Call::Order(order) => {
                    // An order that took effect before a lost connection is sent again, and must not take effect twice.
                    let seq = request.seq;
                    if seq <= lease.progress.applied {
                        if let Some(why) = lease.progress.refused.why(seq).filter(|_| order.is_durable()) {
                            let message = why.to_owned();
                            connection.reply(&Reply::Error { seq, message });
                        }
                    } else if order.is_durable() {
                        durable.add(gateway, order, seq, lease).await;
                        lease.progress.applied = seq;
                        if durable.are_many() {
                            gateway.flush();
                            durable.settle(connection, lease).await;
                        }
                    } else {
                        if let Err(error) = gateway.execute(order, Some(content)).await? {
                            let message = error.to_string();
                            durable.settle(connection, lease).await;
                            connection.reply(&Reply::Error { seq, message });
                        }
                        lease.progress.applied = seq;
                    }
                    *acked = Some(lease.progress.refused.confirmable(seq, lease.progress.applied));
                }
                Call::Query(query) => {
                    if !durable.is_empty() {
                        gateway.flush();
                        durable.settle(connection, lease).await;
                    }
                    let answered = {
                        let mut asked = connection.asked(request.seq);
                        tokio::select! {
                            biased;
                            answered = gateway.query(query, &mut asked) => answered,
                            // PHP asks again for answers of pages over its next connection.
                            () = &mut *wanted, if waits_for_pages(query) => return Err(Ended::TakenOver),
                            () = &mut *called, if waits_for_pages(query) => return Err(Ended::AtRest),
                        }
                    };
                    if let Err(stopped) = answered {
                        // The PHP process waits for this answer, so it gets an error in its place.
                        let message = "no answer: the server stops, or a fault of its own came up, which its log tells of";
                        connection.reply(&Reply::Error { seq: request.seq, message: message.to_owned() });
                        if gateway.hub().count(None).await.is_err() {
                            return Err(stopped.into());
                        }
                    }
                    *acked = None;
                }
            }
            drop((request, room));
            if connection.has_had_its_share() {
                gateway.flush();
                connection.give_way().await;
            }
            // A peer that asks without reading its answers gets no more of them until it reads.
            if connection.owes_enough() {
                gateway.flush();
                tokio::select! {
                    biased;
                    () = &mut *wanted => return Err(Ended::TakenOver),
                    flushed = connection.flush() => flushed?,
                    // The calls that are left are sent again.
                    () = attendance.late() => return Err(Ended::AtRest),
                }
            }
        }
    }
    Ok(())
}

/// Whether the answer to a query takes as long as pages take for theirs.
fn waits_for_pages(query: &Query<'_>) -> bool {
    matches!(query, Query::Replies { .. })
}
