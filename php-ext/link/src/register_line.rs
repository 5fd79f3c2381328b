//! The lines that the register of GatewayWorker sends and is sent.

use std::net::SocketAddrV4;

use gateway_wire::excerpt;
use gateway_wire::gatewayworker::{MAX_ADDRESSES_LINE, RegisterLine, line_length};

use crate::read_buffer::ReadBuffer;

/// The most gateways that one cluster may have.
const MAX_GATEWAYS: usize = 1024;

/// The news that a connection to the register has brought.
#[derive(Debug)]
pub(crate) enum RegisterUpdate {
    Gateways(Vec<SocketAddrV4>),
    /// The line cannot be understood.
    Malformed(String),
    /// The connection is lost, and will be tried again.
    Lost,
    /// gateway-server answers in the register's place.
    Replaced,
}

/// The line that PHP sends first.
pub(crate) fn greeting(secret: &str) -> Vec<u8> {
    let mut line = Vec::new();
    RegisterLine::WorkerConnect { secret_key: secret.to_owned() }.encode(&mut line);
    line
}

/// Decodes the last whole line that has arrived. Where `welcome` is set, a line by which gateway-server introduces itself
/// counts as [`RegisterUpdate::Replaced`].
pub(crate) fn newest(buffer: &mut ReadBuffer, welcome: bool) -> Option<RegisterUpdate> {
    let mut news = None;
    loop {
        let length = match line_length(buffer.unread(), MAX_ADDRESSES_LINE) {
            Ok(Some(length)) => length,
            Ok(None) => return news,
            Err(error) => return Some(RegisterUpdate::Malformed(error.to_string())),
        };
        news = Some(match RegisterLine::decode(buffer.take(length)) {
            Ok(RegisterLine::BroadcastAddresses { bridge: true, .. }) if welcome => RegisterUpdate::Replaced,
            Ok(RegisterLine::BroadcastAddresses { addresses, .. }) => match parse(&addresses) {
                Ok(gateways) => RegisterUpdate::Gateways(gateways),
                Err(why) => return Some(RegisterUpdate::Malformed(why)),
            },
            Ok(_) => continue,
            Err(error) => return Some(RegisterUpdate::Malformed(error.to_string())),
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
