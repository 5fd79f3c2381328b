//! The relays on the operations port: earlier processes of this server that still carry clients which speak TLS.

use serde_json::{Value, json};

use super::exposition::Exposition;
use crate::relay::Relays;

pub(super) fn status(relays: &Relays) -> Value {
    let relays = relays.list().into_iter().map(|(report, age)| {
        json!({
            "pid": report.pid,
            "clients": report.clients,
            "received_bytes": report.from_clients,
            "sent_bytes": report.to_clients,
            "age_seconds": age.as_secs(),
        })
    });
    relays.collect()
}

pub(super) fn metrics(out: &mut Exposition, relays: &Relays) {
    let relays: Vec<_> =
        relays.list().into_iter().map(|(report, age)| (report.pid.to_string(), report, age)).collect();
    let mut clients =
        out.gauge("gateway_relay_clients", "Clients whose TLS an earlier process carries, by its number.");
    for (pid, report, _) in &relays {
        clients.of("pid", pid, report.clients);
    }
    let mut ages = out.gauge("gateway_relay_age_seconds", "Since that process has handed over its clients.");
    for (pid, _, age) in &relays {
        ages.of("pid", pid, age.as_secs_f64());
    }
    let mut received =
        out.counter("gateway_relay_received_bytes_total", "What these clients sent, decrypted.");
    for (pid, report, _) in &relays {
        received.of("pid", pid, report.from_clients);
    }
    let mut sent =
        out.counter("gateway_relay_sent_bytes_total", "What these clients were sent, before encryption.");
    for (pid, report, _) in &relays {
        sent.of("pid", pid, report.to_clients);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::RelayReport;

    fn relays() -> Relays {
        let relays = Relays::default();
        let (from_clients, to_clients) = (10, 20);
        for (pid, clients) in [(4711, 3), (815, 1)] {
            relays.note(RelayReport { pid, clients, from_clients, to_clients, age_millis: 7_000 });
        }
        relays
    }

    #[test]
    fn the_status_lists_them() {
        assert_eq!(status(&Relays::default()), json!([]));
        let relay = |pid, clients| json!({"pid": pid, "clients": clients, "received_bytes": 10, "sent_bytes": 20, "age_seconds": 7});
        assert_eq!(status(&relays()), json!([relay(815, 1), relay(4711, 3)]));
    }

    #[test]
    fn each_has_its_metrics() {
        let mut out = Exposition::default();
        metrics(&mut out, &relays());
        let text = out.into_text();
        for line in [
            "gateway_relay_clients{pid=\"4711\"} 3",
            "gateway_relay_received_bytes_total{pid=\"815\"} 10",
            "gateway_relay_sent_bytes_total{pid=\"4711\"} 20",
            "gateway_relay_age_seconds{pid=\"815\"} 7.",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
