//! The link against a real listener.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod cluster;
mod delivery;
mod fake_cluster;
mod gathering;
mod hostile;
mod reconnect;
mod server;
mod silent;
mod unreachable;

use std::sync::Arc;
use std::time::Duration;

use gateway_link::{Limits, Link, LinkError, LinkPool, Target, Unconfirmed};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;

pub(crate) const LIMITS: Limits = Limits { buffer_bytes: 1 << 20, silence: Duration::from_secs(30) };
/// As `$connectTimeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn link(target: Arc<Target>) -> Link {
    Link::new(target, LIMITS).unwrap()
}

pub(crate) fn say(message: &str) -> Order<'_> {
    Order::SendToAll { message: Bytes::new(message.as_bytes()), only: None, except: vec![], raw: false }
}

pub(crate) fn send(link: &mut Link, message: &str) {
    link.order(say(message), TIMEOUT).unwrap();
}

pub(crate) fn flushed(link: &Link) -> Option<Unconfirmed> {
    link.flush(server::PATIENCE)
}

/// Sends over one of several links.
pub(crate) fn send_to(
    links: &mut LinkPool,
    target: &Arc<Target>,
    message: &str,
) -> Result<Vec<Unconfirmed>, LinkError> {
    let mut undelivered = Vec::new();
    links.to(target, || LIMITS, || Duration::ZERO, &mut undelivered)?.order(say(message), TIMEOUT)?;
    Ok(undelivered)
}
