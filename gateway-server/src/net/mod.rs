//! What all ports do with connections, whatever these speak: listening, slots, turns, keepalive, TLS, addresses.

mod acceptor;
mod attempts;
mod bind;
mod client_options;
pub mod keepalive;
mod nats_address;
mod network;
mod peer_address;
pub mod permits;
pub mod proxy_protocol;
mod public_url;
mod rate_limit_key;
mod relay_pair;
mod server_address;
pub mod tls;
mod turns;
mod webhook_address;
mod webhook_key;

pub use acceptor::Acceptor;
pub use attempts::Attempts;
pub use bind::{BACKLOG, bind_for_clients, bind_tcp, pause_after_failed_accept};
pub use client_options::set_client_options;
pub use nats_address::NatsAddress;
pub use network::Network;
pub use peer_address::peer_address;
pub use permits::{Permit, Permits};
pub use public_url::PublicUrl;
pub use rate_limit_key::RateLimitKey;
pub use relay_pair::{Received, has_reset, receive, received_bytes, relay_of, relay_pair, reset_on_close};
pub use server_address::ServerAddress;
pub use turns::{Turns, give_way};
pub use webhook_address::WebhookAddress;
pub use webhook_key::WebhookKey;
