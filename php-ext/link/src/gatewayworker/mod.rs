//! A cluster of GatewayWorker's own gateways, spoken to in its own protocols, behind the same face as our gateway.
//!
//! Calls come out of the same queue and are confirmed in it. One connection leads to the register and one to each gateway.
//! A call is done once every gateway that it concerns has confirmed it (see `unacked`), or is lost; what a lost gateway
//! had not confirmed is reported, and never sent twice.
//!
//! ```text
//! Queue ─▶ ClusterSession ─▶ Fanout ─▶ Gateway ─▶ GatewayConn ─▶ its internal port
//!             │          └── encode_order, encode_query, aggregate: GatewayWorker's words
//!             └── RegisterConn: which gateways there are
//! ```

mod aggregate;
mod encode_order;
mod encode_query;
mod epoll;
mod fanout;
mod gateway;
mod gateway_conn;
mod pending_query;
mod register_conn;
mod session;
mod session_event;
mod unacked;

pub(crate) use session::ClusterSession;
pub(crate) use session_event::SessionEvent;
