//! End to end tests that need PHP with the extension (`make test-php`).

mod client_info;
mod gateway_interface;
mod inbox;
mod later;
mod long_running;
mod notices;
mod parked_clients;
mod php_pushes;
mod register_tls;
mod tokens;
mod tracked_messages;
mod upgrades;
mod webhook;
mod worker_moves;
mod worker_runner;
