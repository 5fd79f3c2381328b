//! End to end tests of several servers, which need a NATS server, and PHP for some: `make test-cluster`.

mod credentials;
mod link_faults;
mod nodes;
mod partitions;
mod strangers;
