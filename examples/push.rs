//! Pushes a message from Rust, over the bridge that PHP's extension uses: to all clients, or to those of a uid.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gateway_link::{Address, Link, LinkLimits, Target};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;

/// The time that the program waits for the gateway: first to connect, then for the confirmation.
const TIMEOUT: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, message, uid) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [address, message] => (address, message, None),
        [address, message, uid] => (address, message, Some(uid)),
        _ => bail!("usage: push REGISTER_ADDRESS MESSAGE [UID]"),
    };
    let address = Address::parse(address.as_bytes())?;
    let secret = std::env::var("GATEWAY_SECRET_KEY").unwrap_or_default();
    let target = Target::new(vec![address], secret.into_bytes())?;
    let limits = LinkLimits { buffer_bytes: 1 << 20, silence: Duration::from_secs(30) };
    let mut link = Link::new(Arc::new(target), limits)?;

    let message = Bytes::new(message.as_bytes());
    let order = match uid {
        Some(uid) => Order::SendToUids { uids: [Bytes::new(uid.as_bytes())].into(), message, raw: false },
        None => Order::SendToAll { message, only: None, except: vec![], raw: false },
    };
    link.order(order, TIMEOUT).context("the message was not handed over")?;
    // The order is kept, and sent again over a new connection if need be, until the gateway has confirmed it.
    if let Some(unconfirmed) = link.flush(TIMEOUT) {
        let why = unconfirmed.down.unwrap_or_else(|| "it is slow".to_owned());
        bail!("{} has not confirmed the message: {why}", unconfirmed.target);
    }
    println!("the gateway has the message");
    Ok(())
}
