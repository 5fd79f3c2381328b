//! What a running server takes of new settings.

use super::listener::Listener;
use super::settings::{Invalid, Settings};
use crate::cluster;
use crate::net::tls::Files;

/// Settings that were read again.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is to be served by now.
    pub settings: Settings,
    /// The names of those that change now.
    pub live: Vec<String>,
    /// The names of those that stay as they were until a restart.
    pub fixed: Vec<String>,
    /// The names of those in the file that do not count, as a flag or a variable gives them too.
    pub hidden: Vec<&'static str>,
}

/// Compares field by field. A new field must be put in one of the two lists, as the pattern is to be whole.
macro_rules! take {
    ($old:ident, $new:ident, $change:expr; live: $($live:ident),*; fixed: $($fixed:ident),*; else: $($other:ident),*) => {{
        let Self { $($live,)* $($fixed,)* $($other: _,)* } = $new;
        $(if $old.$live != $live {
            $change.0.push(stringify!($live).to_owned());
        })*
        $(if $old.$fixed != $fixed {
            $change.1.push(stringify!($fixed).to_owned());
        })*
        Self { $($live,)* ..$old.clone() }
    }};
}

impl Settings {
    /// What becomes of these settings when those are read. What is right in both may be wrong together, when a part of it
    /// has to wait.
    pub fn change(&self, mut new: Self) -> Result<Change, Vec<Invalid>> {
        let (mut live, mut fixed) = (Vec::new(), Vec::new());
        let listeners = self.change_listeners(std::mem::take(&mut new.listeners), &mut live, &mut fixed);
        let register_tls = ["register_tls_certificate", "register_tls_key", "register_tls_client_ca"];
        changed_files(self.register_tls.as_ref(), new.register_tls.as_ref(), register_tls, &mut fixed);
        changed_cluster(self.cluster.as_ref(), new.cluster.as_ref(), &mut fixed);
        let mut names = (live, fixed);
        let settings = take!(
            self, new, &mut names;
            live: token_key, require_token, operations_token, worker_buffer_bytes, deflate, max_connections, max_connections_per_address,
                handshakes_per_second, max_request_bytes, max_groups_per_client, max_session_bytes, max_unfinished_bytes, max_outbox_bytes, outbox_timeout,
                trusted_proxies, handshake_timeout,
                max_handshakes, close_timeout, drain_seconds, stop_timeout, log;
            fixed: reuse_port, register, register_unix, secret_key, operations, node, shards, io_uring, events, router, message_type,
                max_register_connections, log_format;
            else: listeners, register_tls, cluster
        );
        let settings = Self { listeners, ..settings };
        settings.check()?;
        Ok(Change { settings, live: names.0, fixed: names.1, hidden: Vec::new() })
    }

    fn change_listeners(
        &self,
        new: Vec<Listener>,
        live: &mut Vec<String>,
        fixed: &mut Vec<String>,
    ) -> Vec<Listener> {
        let place = |one: &Listener| (one.protocol, one.address);
        if self.listeners.first().map(place) != new.first().map(place) {
            fixed.push("websocket".to_owned());
        }
        if !self.listeners.iter().skip(1).map(place).eq(new.iter().skip(1).map(place)) {
            fixed.push("listener".to_owned());
        }
        let same_place = |number: usize, old: &Listener| {
            let here = new.get(number).filter(|one| number == 0 || place(one) == place(old));
            here.or_else(|| new.iter().skip(1).find(|one| number > 0 && place(one) == place(old)))
        };
        let change = |(number, old): (usize, &Listener)| {
            let Some(new) = same_place(number, old) else { return old.clone() };
            let full = |name: &str| match number {
                0 => name.to_owned(),
                _ => format!("listener {number}: {name}"),
            };
            let (listener, changed, waiting) = old.change(new.clone());
            live.extend(changed.iter().map(|name| full(name)));
            fixed.extend(waiting.iter().map(|name| full(name)));
            listener
        };
        self.listeners.iter().enumerate().map(change).collect()
    }
}

impl Listener {
    /// Gives the settings to serve by, the names of the settings that change now, and of those that wait for a restart.
    fn change(&self, new: Self) -> (Self, Vec<String>, Vec<String>) {
        let mut names = (Vec::new(), Vec::new());
        changed_files(self.tls.as_ref(), new.tls.as_ref(), ["tls_certificate", "tls_key", ""], &mut names.1);
        let listener = take!(
            self, new, &mut names;
            live: ping_interval, ping_not_response_limit, ping_data, max_message, outbox_bytes, origins, paths, hosts, subprotocols,
                messages_per_second, bytes_per_second;
            fixed: proxy_protocol;
            else: protocol, address, tls
        );
        (listener, names.0, names.1)
    }
}

/// Adds the names of the settings by which a certificate's files are other ones.
fn changed_files(old: Option<&Files>, new: Option<&Files>, names: [&str; 3], changed: &mut Vec<String>) {
    let paths = |files: Option<&Files>| match files {
        Some(files) => {
            [Some(files.certificate.clone()), Some(files.key.clone()), files.client_authorities.clone()]
        }
        None => [None, None, None],
    };
    let differing = paths(old).into_iter().zip(paths(new)).zip(names).filter(|((old, new), _)| old != new);
    changed.extend(differing.map(|(_, name)| name.to_owned()));
}

/// Adds the names of the settings by which the cluster is another one.
fn changed_cluster(
    old: Option<&cluster::ClusterSettings>,
    new: Option<&cluster::ClusterSettings>,
    changed: &mut Vec<String>,
) {
    let (Some(old), Some(new)) = (old, new) else {
        // The others are of no use without it.
        return changed.extend((old.is_some() != new.is_some()).then(|| "cluster_nats".to_owned()));
    };
    let cluster::ClusterSettings {
        nats,
        name,
        credentials,
        authorities,
        certificate,
        buffer,
        is_buffered,
        timeout,
    } = new;
    let (old_certificate, old_key) = old.certificate.clone().unzip();
    let (new_certificate, new_key) = certificate.clone().unzip();
    let differs = [
        (old.nats != *nats, "cluster_nats"),
        (old.name != *name, "cluster_name"),
        (old.credentials != *credentials, "cluster_credentials"),
        (old.authorities != *authorities, "cluster_tls_ca"),
        (old_certificate != new_certificate, "cluster_tls_certificate"),
        (old_key != new_key, "cluster_tls_key"),
        (old.buffer != *buffer, "cluster_buffer_bytes"),
        (old.is_buffered != *is_buffered, "cluster_outage"),
        (old.timeout != *timeout, "cluster_timeout"),
    ];
    changed.extend(differs.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::super::settings::Layer;
    use super::*;
    use crate::system::Secret;

    fn layer() -> Layer {
        Layer {
            listener: Some(vec![
                "text://127.0.0.1:8283".parse().unwrap(),
                "tcp://127.0.0.1:8284".parse().unwrap(),
            ]),
            ..Layer::default()
        }
    }

    fn change(old: Layer, new: Layer) -> Change {
        old.settle().unwrap().change(new.settle().unwrap()).unwrap()
    }

    #[test]
    fn what_can_change_does_and_what_cannot_is_named() {
        let new = Layer {
            shards: Some(7),
            max_connections: Some(3),
            ping_interval: Some(3.0),
            log: Some("debug".to_owned()),
            ..layer()
        };
        let change = change(layer(), new);
        assert_eq!(
            change.live,
            [
                "ping_interval",
                "listener 1: ping_interval",
                "listener 2: ping_interval",
                "max_connections",
                "log"
            ]
        );
        assert_eq!(change.fixed, ["shards"]);
        assert_eq!((change.settings.shards, change.settings.max_connections), (0, 3));
        assert!(change.settings.listeners.iter().all(|listener| listener.ping_interval.as_secs() == 3));
    }

    #[test]
    fn each_listener_names_what_waits_for_a_restart() {
        let mut text: super::super::ListenerLayer = "text://127.0.0.1:8283".parse().unwrap();
        text.proxy_protocol = Some(false);
        let tcp = "tcp://127.0.0.1:8284".parse().unwrap();
        let new = Layer { proxy_protocol: Some(true), listener: Some(vec![text, tcp]), ..Layer::default() };
        let change = change(layer(), new);
        assert_eq!(
            (change.live.len(), change.fixed),
            (0, vec!["proxy_protocol".into(), "listener 2: proxy_protocol".into()])
        );
        assert!(change.settings.listeners.iter().all(|listener| !listener.proxy_protocol));
    }

    #[test]
    fn files_and_the_cluster_are_named_setting_by_setting() {
        let files = |key: &str, authorities: Option<&str>| Files {
            certificate: "a.pem".into(),
            key: key.into(),
            client_authorities: authorities.map(Into::into),
            is_web: false,
        };
        let mut old = Layer { secret_key: Some(Secret::new("s3cr3t")), ..Layer::default() }.settle().unwrap();
        let mut new = old.clone();
        (old.register_tls, new.register_tls) =
            (Some(files("a.key", None)), Some(files("b.key", Some("ca.pem"))));
        (old.listeners[0].tls, new.listeners[0].tls) = (None, Some(files("a.key", None)));
        let nats = |name: &str, key: &str| Layer {
            secret_key: Some(Secret::new("s3cr3t")),
            cluster_nats: Some(vec!["nats://127.0.0.1".parse().unwrap()]),
            cluster_name: Some(name.to_owned()),
            cluster_tls_certificate: Some("c.pem".into()),
            cluster_tls_key: Some(key.into()),
            ..Layer::default()
        };
        old.cluster = nats("one", "a.key").settle().unwrap().cluster;
        new.cluster = nats("two", "b.key").settle().unwrap().cluster;
        let change = old.change(new).unwrap();
        let names = [
            "tls_certificate",
            "tls_key",
            "register_tls_key",
            "register_tls_client_ca",
            "cluster_name",
            "cluster_tls_key",
        ];
        assert_eq!(change.fixed, names);
        let alone = Layer { secret_key: Some(Secret::new("s3cr3t")), ..Layer::default() }.settle().unwrap();
        let joined = alone.change(nats("one", "a.key").settle().unwrap()).unwrap();
        assert_eq!((joined.fixed, joined.settings.cluster), (vec!["cluster_nats".to_owned()], None));
    }

    #[test]
    fn nothing_changed() {
        let change = change(layer(), layer());
        assert!(change.live.is_empty() && change.fixed.is_empty());
    }

    #[test]
    fn a_listener_that_stays_is_found_by_its_address() {
        let mut tcp: super::super::ListenerLayer = "tcp://127.0.0.1:8284".parse().unwrap();
        tcp.max_message = Some(500);
        let new = Layer {
            websocket: Some("127.0.0.1:1".parse().unwrap()),
            listener: Some(vec![tcp]),
            ..Layer::default()
        };
        let change = change(layer(), new);
        assert_eq!(
            (change.live, change.fixed),
            (vec!["listener 2: max_message".to_owned()], vec!["websocket".to_owned(), "listener".to_owned()])
        );
        let max_message: Vec<_> = change.settings.listeners.iter().map(|one| one.max_message).collect();
        assert_eq!(max_message, [10 << 20, 10 << 20, 500]);
    }

    #[test]
    fn what_is_wrong_before_a_restart_is_refused() {
        let secret = Layer { secret_key: Some(Secret::new("s3cr3t of 16 bytes")), ..Layer::default() };
        let new = Layer { require_token: Some(true), ..secret.clone() };
        assert!(change(secret, new.clone()).settings.require_token);
        let old = Layer::default().settle().unwrap();
        let invalid = old.change(new.settle().unwrap()).unwrap_err();
        assert_eq!(invalid[0].key, "require_token");
    }
}
