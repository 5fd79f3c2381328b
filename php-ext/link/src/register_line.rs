//! The lines that the register of GatewayWorker sends and is sent.

use std::net::SocketAddrV4;

use gateway_wire::excerpt;
use gateway_wire::gatewayworker::{MAX_ADDRESSES_LINE, RegisterLine, line_length};

use crate::read_buffer::ReadBuffer;

/// The most gateways that one cluster may have.
const MAX_GATEWAYS: usize = 1024;

/// What the register's connections gave.
#[derive(Debug)]
pub(crate) enum RegisterUpdate {
    Gateways(Vec<SocketAddrV4>),
    /// It cannot be understood.
    Nonsense(String),
    /// The connection is gone. It is tried again.
    Lost,
    /// gateway-server answers in its place.
    Replaced,
}

/// The line that PHP says first.
pub(crate) fn greeting(secret: &str) -> Vec<u8> {
    let mut line = Vec::new();
    RegisterLine::WorkerConnect { secret_key: secret.to_owned() }.encode(&mut line);
    line
}

/// What the last whole line says, of those that have arrived.
/// Where a gateway of ours is `welcome` it is told from a register by what it says itself.
pub(crate) fn newest(inbox: &mut ReadBuffer, welcome: bool) -> Option<RegisterUpdate> {
    let mut news = None;
    loop {
        let length = match line_length(inbox.unread(), MAX_ADDRESSES_LINE) {
            Ok(Some(length)) => length,
            Ok(None) => return news,
            Err(error) => return Some(RegisterUpdate::Nonsense(error.to_string())),
        };
        news = Some(match RegisterLine::decode(inbox.take(length)) {
            Ok(RegisterLine::BroadcastAddresses { bridge: true, .. }) if welcome => RegisterUpdate::Replaced,
            Ok(RegisterLine::BroadcastAddresses { addresses, .. }) => match parse(&addresses) {
                Ok(gateways) => RegisterUpdate::Gateways(gateways),
                Err(why) => return Some(RegisterUpdate::Nonsense(why)),
            },
            Ok(_) => continue,
            Err(error) => return Some(RegisterUpdate::Nonsense(error.to_string())),
        });
    }
}

fn parse(addresses: &[String]) -> Result<Vec<SocketAddrV4>, String> {
    if addresses.len() > MAX_GATEWAYS {
        return Err(format!("it tells of {} gateways, more than {MAX_GATEWAYS}", addresses.len()));
    }
    let parse = |address: &String| {
        address.parse().map_err(|_| {
            let address = excerpt(address.as_bytes());
            format!("it tells of a gateway at {address:?}: set that gateway's lanIp to an IPv4 address")
        })
    };
    addresses.iter().map(parse).collect()
}
