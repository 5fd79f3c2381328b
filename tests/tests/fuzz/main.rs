//! Fuzzers of every decoder, which need no other process; `make test-fuzz` takes seconds, `make fuzz` goes on for longer.

mod clients;
mod cluster;
mod panics;
mod parts;
mod register_port;
mod settings;
mod tls;
mod upgrade;
mod wire;
mod worker_frames;
