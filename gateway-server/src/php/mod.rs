//! The register port, to which PHP connects. The first byte of a connection tells which protocol it speaks.

mod backend;
pub mod bridge;
mod cluster_host;
mod fair_share;
pub mod gatewayworker;
mod listener;
mod login_limits;
mod memory_budget;
mod ordered_handshakes;
mod stream;
mod tls;

pub use backend::Backend;
pub use listener::{RegisterPort, RegisterPortSettings, connection_slots, serve};
pub use login_limits::LoginLimits;
pub use memory_budget::MemoryBudget;
pub use stream::ConnectionSlots;
