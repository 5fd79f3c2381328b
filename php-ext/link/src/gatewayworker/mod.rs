//! Connects to a cluster of GatewayWorker's own gateways by their own protocols, and takes calls like the connection to our
//! gateway.
//!
//! Calls come out of the same queue and are confirmed in it. One connection leads to the register and one to each gateway. A
//! call is done once every gateway that it concerns has confirmed it (see `unacked`), or is lost; what a lost gateway had not
//! confirmed is reported, and never sent twice.
//!
//! ```text
//! CallQueue ─▶ ClusterSession ─▶ Fanout ─▶ ClusterGateway ─▶ GatewayConn ─▶ a gateway's internal port
//!                  │               └── encode_order, encode_query, aggregate: GatewayWorker's commands and replies
//!                  └── RegisterConn: the list of gateways
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
