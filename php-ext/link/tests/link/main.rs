//! The link against a real listener.

// The helpers of tests may unwrap like the tests.
#![allow(clippy::unwrap_used)]

mod batching;
mod cluster;
mod delivery;
mod fake_cluster;
mod hostile;
mod questions;
mod reconnect;
mod server;
mod silent;
mod unreachable;

use std::sync::Arc;
use std::time::Duration;

use gateway_link::{Link, LinkError, LinkLimits, LinkPool, Target, Unconfirmed};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;

pub(crate) const LIMITS: LinkLimits = LinkLimits { buffer_bytes: 1 << 20, silence: Duration::from_secs(30) };
/// The default of `$connectTimeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn link(target: Arc<Target>) -> Link {
    Link::new(target, LIMITS).unwrap()
}

pub(crate) fn order(message: &str) -> Order<'_> {
    Order::SendToAll { message: Bytes::new(message.as_bytes()), only: None, except: vec![], raw: false }
}

pub(crate) fn send(link: &mut Link, message: &str) {
    link.order(order(message), TIMEOUT).unwrap();
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
    links.link_to(target, || LIMITS, || Duration::ZERO, &mut undelivered)?.order(order(message), TIMEOUT)?;
    Ok(undelivered)
}
