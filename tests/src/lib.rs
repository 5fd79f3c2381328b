//! The code that the end to end tests share: it starts real servers, clients and PHP processes on free ports.

mod answer_fields;
mod artifacts;
mod bridge_worker;
mod browser;
mod business_workers;
mod chat_workers;
mod chatter;
mod children;
mod chinese_figures;
mod client;
mod cpu;
mod crowd;
mod cut_course;
mod cutting_proxy;
mod deaf_way;
mod deflated;
mod demo;
mod doctor;
mod done;
mod eavesdropper;
mod echo_server;
mod eventually;
mod faketime;
mod fences;
mod firefox;
mod fuzz;
mod gateway_contract;
mod halting_stream;
mod kernel;
#[cfg(feature = "libfuzzer")]
mod libfuzzer;
mod machine;
mod moving_proxy;
mod nats;
mod network;
mod node;
mod nodes;
mod numbered_page;
mod operator;
mod original;
mod original_cluster;
mod original_role;
mod php;
mod php_calls;
mod php_host;
mod php_peer;
mod pictures;
mod plain_client;
mod port;
mod process_group;
mod proxy;
mod recipe;
mod record_forger;
mod resending_php;
mod resuming_page;
mod samples;
mod send_signal;
mod server;
mod steady_pushes;
mod store_folder;
mod tls;
mod tracked_send;
mod webhook_receiver;
mod worker_peer;
mod worker_runner;

pub use answer_fields::{field, list};
pub use artifacts::{copy_program, extension, fetched, root, server_binary, skip};
pub use bridge_worker::BridgeWorker;
pub use browser::{Browser, Tab};
pub use business_workers::BusinessWorkers;
pub use chat_workers::ChatWorkers;
pub use chatter::Chatter;
pub use children::{children, runs_to_take_over};
pub use chinese_figures::{ChineseFigures, written_parts};
pub use client::{Client, Greeted, connect_from};
pub use cpu::cpu_of_descendants;
pub use crowd::{Crowd, Footprint};
pub use cut_course::{COURSE_FLAGS, CutCourse, Road, course_messages};
pub use cutting_proxy::{CuttingProxy, Fate};
pub use deaf_way::DeafWay;
pub use deflated::deflated;
pub use demo::{ALICE, BOB, Demo, Page, User, Visit};
pub use doctor::Diagnosis;
pub use done::done;
pub use eavesdropper::{Eavesdropper, Heard};
pub use echo_server::{EchoServer, MessageType};
pub use eventually::eventually;
pub use faketime::WrongClock;
pub use fences::{Fence, fences, file_of, lay_out};
pub use firefox::Firefox;
pub use fuzz::{Rng, fuzz};
pub use gateway_contract::GatewayContract;
pub use halting_stream::{Halt, HaltingStream};
pub use kernel::{read_by_peer, unread_by_peer};
pub use machine::Machine;
pub use moving_proxy::MovingProxy;
pub use nats::{Nats, Way};
pub use network::{in_own_network, on_default_ports};
pub use node::{NO_NODE, node_with_websocket};
pub use nodes::{IN_JETSTREAM, Node, Nodes, SECRET};
pub use operator::{Answer, Operator};
pub use original::{OriginalGateway, OriginalStack};
pub use original_cluster::OriginalCluster;
pub use php::{php, php_of_the_machine, run_script};
pub use php_calls::{Called, PhpCalls};
pub use php_host::{PhpHost, ThreadedPhp};
pub use php_peer::{OWN_NONCE, PhpPeer, new_producer};
pub use pictures::{Picture, View, page_language, shows_chinese};
pub use plain_client::{PlainClient, greeted};
pub use port::free_port;
pub use process_group::ProcessGroup;
pub use proxy::{OutageProxy, ResettingProxy};
pub use recipe::Recipe;
pub use record_forger::RecordForger;
pub use resending_php::ResendingPhp;
pub use resuming_page::{FromInbox, ResumingPage};
pub use samples::{packets, requests};
pub use send_signal::send_signal;
pub use server::Server;
pub use steady_pushes::SteadyPushes;
pub use store_folder::store_folder;
pub use tls::{TestCertificate, TlsClient, connect as connect_tls, suites_of_few_records};
pub use tracked_send::TrackedSend;
pub use webhook_receiver::{SILENCE, WebhookReceiver, WebhookRequest};
pub use worker_peer::{ReceivedEvent, WorkerPeer};
pub use worker_runner::WorkerRunner;

use std::time::Duration;

use anyhow::Context as _;

/// The longest that anything which must happen may take, on a slow machine that others use too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `future`, and fails after [`PATIENCE`] instead of waiting forever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .with_context(|| format!("{what}: nothing within {PATIENCE:?}"))
}
