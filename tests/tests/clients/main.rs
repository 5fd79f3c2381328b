//! Websocket clients of others and the Autobahn test suite, which need what each is written in: `make test-clients`.

mod autobahn;
mod real_clients;
