//! End to end tests that need only the server and take seconds each: `make test-server` runs them, and `make quick` as well.

mod bad_input_gatewayworker;
mod bad_input_register;
mod bad_input_websocket;
mod bad_input_worker;
mod calls_in_order;
mod client_protocol_page;
mod deflate;
mod drain;
mod handshakes;
mod http_api;
mod limits;
mod listeners;
mod operations;
mod proxies;
mod push;
mod queries_and_sessions;
mod register;
mod reload;
mod resume;
mod resume_bad_input;
mod resume_cuts;
mod resume_room;
mod stop_and_settings;
mod tls;
mod worker_moves;
mod workers;
