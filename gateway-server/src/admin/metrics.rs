//! The answer to `GET /metrics`, in the text format of Prometheus.

use std::time::UNIX_EPOCH;

use hyper::StatusCode;

use super::answer::{Answer, Refusal, answer};
use super::exposition::Exposition;
use super::snapshot::{Snapshot, Watched};
use super::{Operations, cluster, inbox, relays};
use crate::lifecycle::watchdog;
use crate::telemetry::{abuse_log, histogram, logs};

pub(super) async fn answer_metrics(operations: &Operations) -> Result<Answer, Refusal> {
    let snapshot = Snapshot::take(operations).await?;
    let mut out = Exposition::default();
    server(&mut out, &snapshot);
    clients(&mut out, &snapshot, &operations.listeners);
    traffic(&mut out, &snapshot);
    php(&mut out, &snapshot);
    let clients = snapshot.sum(|shard| shard.clients as u64);
    cluster::metrics(&mut out, &operations.backend.gateway, clients);
    if let Some(inbox) = operations.backend.gateway.inbox() {
        inbox::metrics(&mut out, inbox);
    }
    relays::metrics(&mut out, &operations.relays);
    process(&mut out, &snapshot);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(answer(StatusCode::OK, kind, out.into_text().into_bytes()))
}

fn server(out: &mut Exposition, snapshot: &Snapshot) {
    out.gauge("gateway_build_info", "The server's version.").of("version", env!("CARGO_PKG_VERSION"), 1);
    out.gauge("gateway_uptime_seconds", "Since the start.").is(snapshot.uptime());
    out.counter("gateway_log_lines_lost_total", "Lines of the log that could not be written.")
        .is(logs::lost());
    let answers = &watchdog::ANSWERS;
    out.histogram(
        "gateway_shard_answer_seconds",
        "Until all shards had answered, asked once a second.",
        histogram::bounds(),
        &answers.counts(),
        answers.sum(),
    );
    let mut offences = out.counter(
        "gateway_offences_total",
        "What clients and PHP did that was refused or ended their connection, by kind.",
    );
    for (kind, total) in abuse_log::totals() {
        offences.of("kind", kind, total);
    }
}

fn clients(out: &mut Exposition, snapshot: &Snapshot, listeners: &[Watched]) {
    let mut clients = out.gauge("gateway_clients", "Clients that are online.");
    for (index, listener) in listeners.iter().enumerate() {
        clients.of("listener", &listener.name, snapshot.clients_of(index));
    }
    let mut shards =
        out.gauge("gateway_shard_clients", "Clients that are online, by the thread that serves them.");
    for (index, shard) in snapshot.shards.iter().enumerate() {
        shards.of("shard", &index.to_string(), shard.clients);
    }
    let mut accepted = out.counter(
        "gateway_connections_accepted_total",
        "Connections of clients that came, those that were refused included.",
    );
    for listener in listeners {
        accepted.of("listener", &listener.name, listener.counter.came());
    }
    let mut handshakes = out.gauge("gateway_handshakes", "Connections that are no clients yet.");
    for listener in listeners {
        handshakes.of("listener", &listener.name, listener.counter.present());
    }
    out.counter("gateway_clients_total", "Clients that came, since the start.")
        .is(snapshot.sum(|shard| shard.counts.came));
    out.gauge("gateway_uids", "Uids that clients are bound to.").is(snapshot.uids);
    out.gauge("gateway_groups", "Groups that clients are in.").is(snapshot.groups);
    out.gauge("gateway_parked_clients", "Online clients without a connection, which may come back.")
        .is(snapshot.sum(|shard| shard.parked as u64));
    let resume = snapshot.resume();
    out.counter("gateway_parked_total", "Clients whose connections ended and that were kept.")
        .is(resume.parked);
    out.counter("gateway_resumed_total", "Clients that came back and had missed nothing.").is(resume.resumed);
    let mut gaps = out
        .counter("gateway_gaps_total", "Pages that came back and may have missed something, by the reason.");
    for (reason, total) in resume.gaps() {
        gaps.of("reason", reason.word(), total);
    }
    out.gauge("gateway_resume_bytes", "Memory of what is kept for clients that may come back.")
        .is(snapshot.sum(|shard| shard.kept as u64));
    out.gauge("gateway_slow_clients", "Clients whose sockets take no more for now.")
        .is(snapshot.sum(|shard| shard.slow as u64));
    out.gauge("gateway_outbox_bytes", "Memory of what waits for slow clients.").is(snapshot.waiting as u64);
    out.gauge("gateway_unfinished_bytes", "What is there of messages that have not come whole.")
        .is(snapshot.sum(|shard| shard.partial as u64));
}

fn traffic(out: &mut Exposition, snapshot: &Snapshot) {
    let mut total = |name, help, of: fn(&crate::shard::Counts) -> u64| {
        out.counter(name, help).is(snapshot.sum(|shard| of(&shard.counts)));
    };
    total("gateway_messages_received_total", "Messages of clients.", |counts| counts.messages_in);
    total("gateway_received_bytes_total", "What clients sent, all framing included.", |counts| {
        counts.bytes_in
    });
    total("gateway_messages_sent_total", "Messages to clients, one for each receiver.", |counts| {
        counts.messages_out
    });
    total("gateway_sent_bytes_total", "What clients' sockets have taken, all framing included.", |counts| {
        counts.bytes_out
    });
}

fn php(out: &mut Exposition, snapshot: &Snapshot) {
    out.gauge("gateway_php_connections", "Connections of PHP on the register ports.")
        .is(snapshot.php_connections);
    out.gauge("gateway_workers", "PHP processes that handle events.").is(snapshot.workers.len());
    out.gauge("gateway_worker_backlog_events", "Events that wait for workers.").is(snapshot
        .workers
        .iter()
        .map(|worker| worker.events)
        .sum::<usize>());
    out.gauge("gateway_worker_backlog_bytes", "Their bytes, with those on their way.").is(snapshot
        .workers
        .iter()
        .map(|worker| worker.bytes)
        .sum::<usize>());
}

/// Writes the metrics that every program has, under the names that Prometheus gives them.
fn process(out: &mut Exposition, snapshot: &Snapshot) {
    let started = snapshot.started.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    out.gauge("process_start_time_seconds", "Since the Unix epoch.").is(started);
    out.gauge("process_resident_memory_bytes", "Memory in use.").is(snapshot.process.memory);
    out.gauge("process_open_fds", "Open files, of which every connection is one.")
        .is(snapshot.process.open_files);
    out.gauge("process_max_fds", "Files that may be open.").is(snapshot.process.max_open_files);
}
