//! End to end tests of several servers: they need a NATS server, and some need PHP (`make test-cluster`).

mod all_at_once;
mod coming_back;
mod credentials;
mod doctor;
mod full_queue;
mod inbox;
mod link_faults;
mod monitoring;
mod moves_and_workers;
mod nodes;
mod operated_nodes;
mod partitions;
mod strangers;
mod tracked_messages;
mod unequal_views;
mod upgrades;
