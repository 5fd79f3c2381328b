//! End to end tests of several servers: they need a NATS server, and some need PHP (`make test-cluster`).

mod coming_back;
mod credentials;
mod link_faults;
mod nodes;
mod partitions;
mod strangers;
