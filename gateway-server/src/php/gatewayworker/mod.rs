//! GatewayWorker's own protocols, so that its unmodified PHP classes work with this server: the register protocol, which tells
//! PHP where the gateways are, and a gateway's internal protocol. The register port serves both.

mod barrier;
mod ended;
mod event_codec;
mod gateways;
mod input;
mod internal;

mod newcomers;
mod orders;
mod php_request;
mod queries;
mod register;
mod service;
mod session;
mod worker;

pub(super) use event_codec::server_data;
pub(super) use internal::{new as new_internal, serve as serve_internal, serve_worker};
pub(super) use register::{new as new_register, serve as serve_register};
pub use service::GatewayWorker;
