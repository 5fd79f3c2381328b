//! From what the sources say to the settings that count.

use std::net::SocketAddr;

use super::invalid::{Checks, Invalid};
use super::table::{Listener, RawConfig, RawListener, Settings, WEBSOCKET};
use crate::system::Secret;

/// Listeners at most: a client's record has a byte for which it came by.
const MAX_LISTENERS: usize = 256;

impl RawConfig {
    /// Fills in the defaults and checks everything, so that all that is wrong can be said at once.
    pub(super) fn resolve(self) -> Result<Settings, Vec<Invalid>> {
        let mut checks = Checks::default();
        let raw = self.with_secrets_of_files(&mut checks);
        let websocket = raw.websocket_listener(raw.websocket.unwrap_or(WEBSOCKET));
        let listeners = listeners(websocket, raw.listener.as_deref().unwrap_or_default(), &mut checks);
        let settings = raw.fill_in(listeners, &mut checks);
        settings.check_certificates(&mut checks);
        settings.check_together(&mut checks);
        checks.done(settings)
    }

    /// Where the operations port is, and its token, whatever else may be wrong.
    pub(super) fn operations(self) -> Result<(Option<SocketAddr>, Secret), Vec<Invalid>> {
        let mut checks = Checks::default();
        let asked = Self {
            operations_token: self.operations_token,
            operations_token_file: self.operations_token_file,
            ..Self::default()
        };
        let token = asked.with_secrets_of_files(&mut checks).operations_token.unwrap_or_default();
        checks.done((self.operations, token))
    }
}

/// The settings of a server that is told nothing.
impl Default for Settings {
    fn default() -> Self {
        let (raw, mut checks) = (RawConfig::default(), Checks::default());
        let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
        raw.fill_in(vec![websocket], &mut checks)
    }
}

/// The websocket listener, then the others.
fn listeners(websocket: RawListener, others: &[RawListener], checks: &mut Checks) -> Vec<Listener> {
    let mut listeners = vec![listener(websocket, None, checks)];
    for (index, other) in others.iter().enumerate() {
        checks.listener = Some(index);
        if index + 1 >= MAX_LISTENERS {
            checks.refuse("address", format!("there are over {MAX_LISTENERS} listeners"));
            break;
        }
        // With `reuse_port` they would share it, by chance.
        if other.address.port() != 0 && listeners.iter().any(|earlier| earlier.address == other.address) {
            checks.refuse("address", format!("another listener has {} already", other.address));
        }
        let other = listener(other.clone(), listeners.first(), checks);
        listeners.push(other);
    }
    checks.listener = None;
    listeners
}

/// A listener that names neither certificate nor key has TLS if the websocket listener has; one that names either takes neither from there.
fn listener(mut raw: RawListener, websocket: Option<&Listener>, checks: &mut Checks) -> Listener {
    let has_own_certificate = raw.tls_certificate.is_some() || raw.tls_key.is_some();
    if has_own_certificate {
        raw.tls_certificate.get_or_insert_default();
        raw.tls_key.get_or_insert_default();
    }
    let listener = raw.fill_in(websocket, checks);
    if has_own_certificate {
        listener.check_certificate(checks);
    }
    listener
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::system::Secret;

    #[test]
    fn later_raws_win() {
        let file = RawConfig { shards: Some(3), ping_interval: Some(10.0), ..RawConfig::default() };
        let flags = RawConfig { shards: Some(5), ..RawConfig::default() };
        let settings = flags.over(file).resolve().unwrap();
        let websocket = &settings.listeners[0];
        assert_eq!(
            (settings.shards, websocket.ping_interval.as_secs(), websocket.outbox_bytes),
            (5, 10, 16 << 20)
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let raw = RawConfig {
            register: Some(vec!["0.0.0.0:1238".parse().unwrap()]),
            max_message: Some(1),
            ping_interval: Some(f64::NAN),
            log: Some("a=b=c".to_owned()),
            ..RawConfig::default()
        };
        let keys: Vec<_> = raw.resolve().unwrap_err().iter().map(|invalid| invalid.key).collect();
        assert_eq!(keys, ["ping_interval", "max_message", "log", "register"]);
    }

    #[test]
    fn a_duration_has_a_unit_and_a_bound() {
        let raw = |coalesce: &str| RawConfig { coalesce: Some(coalesce.to_owned()), ..RawConfig::default() };
        for (text, milliseconds) in [("0", 0), ("0ms", 0), ("2ms", 2), ("1000ms", 1000)] {
            let settings = raw(text).resolve().unwrap();
            assert_eq!(settings.listeners[0].coalesce, Duration::from_millis(milliseconds));
        }
        for wrong in ["", "2", "2s", "1001ms", "-1ms", "1.5ms", "ms", "2 ms", "99999999999999999999ms"] {
            let refused = raw(wrong).resolve().unwrap_err().remove(0).to_string();
            let said = format!("coalesce: {wrong:?} is not whole milliseconds from 0ms to 1000ms, as 2ms");
            assert_eq!(refused, said);
        }
    }

    #[test]
    fn a_certificate_for_nats_needs_its_key() {
        let half = RawConfig { cluster_tls_certificate: Some("a.pem".into()), ..RawConfig::default() };
        let other_half = RawConfig { cluster_tls_key: Some("a.pem".into()), ..RawConfig::default() };
        let refused = |raw: RawConfig| raw.resolve().unwrap_err().remove(0).to_string();
        assert_eq!(refused(half), "cluster_tls_certificate: it is of no use without cluster_tls_key");
        assert_eq!(refused(other_half), "cluster_tls_key: it is of no use without cluster_tls_certificate");
    }

    #[test]
    fn a_store_is_a_file_of_one_server_or_jetstream_of_a_cluster() {
        let raw = |store: &str, nats: &[&str], replicas| RawConfig {
            store: Some(store.into()),
            cluster_nats: Some(nats.iter().map(|address| address.parse().unwrap()).collect()),
            store_replicas: Some(replicas),
            secret_key: Some(Secret::new("s3cr3t")),
            ..RawConfig::default()
        };
        let one = &["nats://a:b@h"][..];
        for good in [raw("/a", &[], 1), raw("jetstream", one, 3), raw("./jetstream", &[], 1)] {
            good.resolve().unwrap();
        }
        let refused = |raw: RawConfig| raw.resolve().unwrap_err().remove(0).to_string();
        assert!(refused(raw("/a", one, 1)).contains("set it to \"jetstream\""));
        assert!(refused(raw("jetstream", &[], 1)).contains("set cluster_nats"));
        assert!(refused(raw("/a", &[], 3)).starts_with("store_replicas: "));
        assert!(refused(raw("jetstream", &["nats://a:b@h", "nats://a:c@h"], 1)).contains("the same user"));
    }

    #[test]
    fn a_secret_opens_the_register_to_other_machines_and_is_never_printed() {
        let raw = RawConfig {
            register: Some(vec!["0.0.0.0:1238".parse().unwrap()]),
            secret_key: Some(Secret::new("s3cr3t")),
            ..RawConfig::default()
        };
        assert!(!format!("{raw:?}{:?}", raw.clone().resolve().unwrap()).contains("s3cr3t"));
    }
}
