//! End to end tests that need root, namespaces, systemd or containers, and are skipped without them (`make test-machine`).

mod images;
mod lost_connections;
mod packaging;
mod release;
mod resume_behind_nginx;
mod systemd;
