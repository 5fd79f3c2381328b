//! The register port, to which PHP connects. The first byte of a connection tells which protocol it speaks.

mod backend;
pub mod bridge;
mod carry;
mod cluster_host;
mod connection;
mod fair_share;
pub mod gatewayworker;
mod listener;
mod login_limits;
mod memory_budget;
mod ordered_handshakes;
mod register_port;
mod settings;
mod stream;
mod tls;

pub use backend::Backend;
pub use carry::at_rest::{NotAtRest, PhpAtRest, rest};
pub use carry::attendance::Attendance;
pub use carry::form::MalformedPhp;
pub use listener::serve;
pub use login_limits::LoginLimits;
pub use memory_budget::MemoryBudget;
pub use register_port::{GiveAway, RegisterPort};
pub use settings::{RegisterPortSettings, connection_slots};
pub use stream::ConnectionSlots;
