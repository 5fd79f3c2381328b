//! GatewayWorker's register service, which tells PHP where the gateways are. This server is one of them; PHP gateways beside it
//! may register too.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use gateway_wire::gatewayworker::{MAX_LINE, RegisterLine};
use serde_bytes::ByteBuf;
use tokio::io::AsyncWriteExt as _;
use tracing::warn;

use super::ended::Ended;
use super::gateways::KnownGateways;
use super::input::Input;
use super::service::GatewayWorker;
use crate::php::carry::attendance::{Attendance, Rest};
use crate::php::carry::form::{RegisterAtRest, StateAtRest};
use crate::php::stream::{ConnectionSlot, Stream};

/// A new connection, whose first byte, an opening brace, has been read.
pub(in crate::php) fn new() -> RegisterAtRest {
    RegisterAtRest { input: ByteBuf::from(*b"{"), ..RegisterAtRest::default() }
}

/// Serves a connection to its end, or until it comes to rest.
pub(in crate::php) async fn serve(
    mut socket: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    service: &GatewayWorker,
    attendance: &Attendance,
    timeout: Duration,
    slot: &ConnectionSlot,
    at_rest: RegisterAtRest,
) -> Option<(StateAtRest, OwnedFd)> {
    let conversed = converse(&mut socket, peer, service, attendance, timeout, slot, at_rest).await;
    let duplicated = conversed.and_then(|at_rest| Ok((at_rest, socket.duplicate()?.into())));
    match duplicated {
        Ok((at_rest, descriptor)) => Some((StateAtRest::Register(at_rest), descriptor)),
        Err(ended) => {
            ended.report(peer);
            None
        }
    }
}

async fn converse(
    socket: &mut Box<dyn Stream>,
    peer: Option<SocketAddr>,
    service: &GatewayWorker,
    attendance: &Attendance,
    timeout: Duration,
    slot: &ConnectionSlot,
    mut at_rest: RegisterAtRest,
) -> Result<RegisterAtRest, Ended> {
    let mut input = Input::with(&at_rest.input);
    let mut changes = service.gateways.known.subscribe();
    let mut registration = None;
    let called = attendance.called(Rest::Calls);
    tokio::pin!(called);

    let mut line = None;
    if at_rest.is_known {
        slot.prove();
        // The addresses are told again, as they may have changed while nobody was told.
        changes.mark_changed();
        if let Some(address) = &at_rest.gateway {
            registration = Some(service.gateways.add(address.clone())?);
        }
    } else {
        let first = async {
            tokio::select! {
                biased;
                () = &mut called => Ok(None),
                line = first_line(&mut input, socket) => line.map(Some),
            }
        };
        let first = tokio::time::timeout(timeout, first).await;
        line = first.map_err(|_| {
            Ended::Refused(format!("it did not say who it is within {timeout:?} (handshake_timeout)"))
        })??;
        if line.is_none() {
            at_rest.input = ByteBuf::from(input.unread());
            return Ok(at_rest);
        }
    }
    loop {
        // A connection that goes on waits for its next line.
        let said = line.as_ref().map(|line| RegisterLine::decode(line)).transpose();
        match said.map_err(|error| Ended::Refused(error.to_string()))? {
            None => {}
            Some(RegisterLine::WorkerConnect { secret_key }) => {
                service.check_secret(peer, &secret_key, attendance).await?;
                slot.prove();
                at_rest.is_worker = true;
                changes.mark_changed();
                service.warn_if_unreachable(peer);
            }
            Some(RegisterLine::GatewayConnect { address, secret_key }) => {
                service.check_secret(peer, &secret_key, attendance).await?;
                slot.prove();
                registration = Some(service.gateways.add(address.clone())?);
                at_rest.gateway = Some(address);
            }
            Some(RegisterLine::Ping) => {}
            Some(RegisterLine::BroadcastAddresses { .. }) => {
                return Err(Ended::Refused("only a register says broadcast_addresses".to_owned()));
            }
        }
        at_rest.is_known = true;
        line = loop {
            tokio::select! {
                biased;
                () = &mut called => {
                    at_rest.input = ByteBuf::from(input.unread());
                    return Ok(at_rest);
                }
                line = next_line(&mut input, socket) => break Some(line?),
                changed = changes.changed(), if at_rest.is_worker => {
                    changed.map_err(|_| crate::shard::Stopped)?;
                    let addresses = service.addresses(&changes.borrow_and_update());
                    let mut bytes = Vec::new();
                    RegisterLine::BroadcastAddresses { addresses, bridge: true }.encode(&mut bytes);
                    tokio::select! {
                        biased;
                        written = socket.write_all(&bytes) => written?,
                        () = attendance.late() => return Err(Ended::Closed),
                    }
                }
            }
        };
        // The registration must live as long as the connection.
        let _ = &registration;
    }
}

/// Reads until the first line that is no ping. A ping proves nothing, so pings alone do not finish the handshake.
async fn first_line(input: &mut Input, socket: &mut Box<dyn Stream>) -> Result<Bytes, Ended> {
    loop {
        let line = next_line(input, socket).await?;
        if !matches!(RegisterLine::decode(&line), Ok(RegisterLine::Ping)) {
            return Ok(line);
        }
    }
}

async fn next_line(input: &mut Input, socket: &mut Box<dyn Stream>) -> Result<Bytes, Ended> {
    loop {
        if let Some(line) = input.line(MAX_LINE)? {
            return Ok(line);
        }
        input.read_more(socket).await?;
    }
}

impl GatewayWorker {
    /// Gives the addresses of all gateways, each once. This server stands first, by the address in its client ids: PHP looks for
    /// a client there.
    fn addresses(&self, known: &KnownGateways) -> Vec<String> {
        let own = self.node.to_string();
        let nodes = known.nodes.iter().map(ToString::to_string);
        let others: BTreeSet<_> =
            known.registered.values().cloned().chain(nodes).filter(|address| *address != own).collect();
        std::iter::once(own).chain(others).collect()
    }

    fn warn_if_unreachable(&self, peer: Option<SocketAddr>) {
        let Some(peer) = peer else { return };
        if self.node.ip().is_loopback()
            && !peer.ip().to_canonical().is_loopback()
            && !self.gateways.has_warned.swap(true, Ordering::Relaxed)
        {
            warn!(
                node = %self.node,
                %peer,
                "PHP on another machine is told an address that it cannot reach: set node to one that it can"
            );
        }
    }
}

impl GatewayWorker {
    /// Adds another node of the cluster to the gateways that PHP is told of. GatewayWorker's classes send to each node
    /// themselves.
    pub(in crate::php) fn node_came(&self, node: SocketAddrV4) {
        self.gateways.known.send_if_modified(|known| known.nodes.insert(node));
    }

    pub(in crate::php) fn node_gone(&self, node: SocketAddrV4) {
        self.gateways.known.send_if_modified(|known| known.nodes.remove(&node));
    }
}

#[cfg(test)]
mod tests {
    use super::super::gateways::Gateways;
    use super::*;
    use crate::php::login_limits::LoginLimits;
    use crate::system::Secret;
    use std::sync::Arc;

    #[test]
    fn addresses_stand_once_and_go_with_their_connection() {
        let service = GatewayWorker::new(
            Arc::new(LoginLimits::new(Secret::default())),
            "127.0.0.1:1238".parse().unwrap(),
        );
        let gateways = &service.gateways;
        let all = || service.addresses(&gateways.known.borrow());
        let one = gateways.add("10.0.0.1:2900".to_owned()).unwrap();
        let again = gateways.add("10.0.0.1:2900".to_owned()).unwrap();
        let itself = gateways.add("127.0.0.1:1238".to_owned()).unwrap();
        assert_eq!(all(), ["127.0.0.1:1238", "10.0.0.1:2900"]);
        drop(one);
        assert_eq!(all(), ["127.0.0.1:1238", "10.0.0.1:2900"]);
        drop((again, itself));
        assert_eq!(all(), ["127.0.0.1:1238"]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let gateways = Gateways::default();
        for wrong in
            ["", "10.0.0.1", "10.0.0.1:", "a b:1", "a\n:1", "a:65536", &format!("{}:1", "a".repeat(99))]
        {
            assert!(gateways.add(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }
}
