//! Comparisons with GatewayWorker: they need PHP and its sources, and are skipped without these (`make test-originals`).

mod business_worker;
mod gateway_interface;
mod like_the_original;
mod listeners_like_the_original;
mod php_cluster;
mod upgrades;
mod worker_programs;
mod workerman_chat;
