//! An upgrade: a new process of the binary takes over from this one.

mod carrier;
mod letting_go;
mod listening_sockets;
mod new;
mod old;
mod predecessor;
mod relay_time;
mod requests;
mod restoring;
mod state;

pub(super) use carrier::Carrier;
pub(super) use letting_go::LettingGo;
pub(super) use listening_sockets::ListeningSockets;
pub(super) use new::{Beginning, NotTaken, Taken, take_over};
pub(super) use predecessor::Predecessors;
pub(super) use relay_time::watch_relays;
pub(super) use requests::{Asked, UpgradeRequests, signal_for_upgrades};
