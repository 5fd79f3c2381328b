//! What a running server takes of settings that were read again.

use super::differences::Differences;
use super::invalid::Invalid;
use super::table::{Listener, Settings};

/// Settings that were read again.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The settings that count from now on.
    pub(crate) settings: Settings,
    /// The names of those that change now.
    pub(crate) live: Vec<String>,
    /// The names of those that stay as they were until a restart.
    pub(crate) fixed: Vec<String>,
    /// The names of those in the file that do not count, as a flag or a variable gives them too.
    pub(crate) hidden: Vec<&'static str>,
}

impl Settings {
    /// What becomes of these settings when those are read. What is right in both may be wrong together, when a part of it
    /// has to wait.
    pub(crate) fn change(&self, new: &Self) -> Result<Change, Vec<Invalid>> {
        let mut differences = Differences::default();
        let listeners = self.take_over_listeners(&new.listeners, &mut differences);
        let settings = self.take_over(new, listeners, &mut differences);
        settings.check_again()?;
        let Differences { live, mut fixed, .. } = differences;
        if !self.is_clustered() || !new.is_clustered() {
            // The other settings of the cluster are of no use without it.
            fixed.retain(|name| !name.starts_with("cluster_") || name == "cluster_nats");
        }
        Ok(Change { settings, live, fixed, hidden: Vec::new() })
    }

    /// A listener is the same as long as it speaks the same at the same address, and the first is always the websocket listener.
    fn take_over_listeners(&self, new: &[Listener], differences: &mut Differences) -> Vec<Listener> {
        let endpoint = |one: &Listener| (one.protocol, one.address);
        let same = |index: usize, old: &Listener| {
            let here = new.get(index).filter(|one| index == 0 || endpoint(one) == endpoint(old));
            here.or_else(|| new.iter().skip(1).find(|one| index > 0 && endpoint(one) == endpoint(old)))
        };
        let take_over = |(index, old): (usize, &Listener)| {
            let Some(new) = same(index, old) else { return old.clone() };
            differences.prefix = if index == 0 { String::new() } else { format!("listener {index}: ") };
            old.take_over(new, differences)
        };
        let listeners = self.listeners.iter().enumerate().map(take_over).collect();
        differences.prefix.clear();
        listeners
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::RawConfig;
    use super::*;
    use crate::system::Secret;

    fn raw() -> RawConfig {
        RawConfig {
            listener: Some(vec![
                "text://127.0.0.1:8283".parse().unwrap(),
                "tcp://127.0.0.1:8284".parse().unwrap(),
            ]),
            ..RawConfig::default()
        }
    }

    fn change(old: RawConfig, new: RawConfig) -> Change {
        old.resolve().unwrap().change(&new.resolve().unwrap()).unwrap()
    }

    #[test]
    fn what_can_change_does_and_what_cannot_is_named() {
        let new = RawConfig {
            shards: Some(7),
            max_connections: Some(3),
            ping_interval: Some(3.0),
            log: Some("debug".to_owned()),
            ..raw()
        };
        let change = change(raw(), new);
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
        let mut text: super::super::RawListener = "text://127.0.0.1:8283".parse().unwrap();
        text.proxy_protocol = Some(false);
        let tcp = "tcp://127.0.0.1:8284".parse().unwrap();
        let new =
            RawConfig { proxy_protocol: Some(true), listener: Some(vec![text, tcp]), ..RawConfig::default() };
        let change = change(raw(), new);
        assert_eq!(
            (change.live.len(), change.fixed),
            (0, vec!["proxy_protocol".into(), "listener 2: proxy_protocol".into()])
        );
        assert!(change.settings.listeners.iter().all(|listener| !listener.proxy_protocol));
    }

    #[test]
    fn files_and_the_cluster_are_named_setting_by_setting() {
        let secret = || RawConfig { secret_key: Some(Secret::new("s3cr3t")), ..RawConfig::default() };
        let nats = |name: &str, key: &str| RawConfig {
            cluster_nats: Some(vec!["nats://127.0.0.1".parse().unwrap()]),
            cluster_name: Some(name.to_owned()),
            cluster_tls_certificate: Some("c.pem".into()),
            cluster_tls_key: Some(key.into()),
            ..secret()
        };
        let mut old = nats("one", "a.key").resolve().unwrap();
        let mut new = nats("two", "b.key").resolve().unwrap();
        let path = |path: &str| Some(PathBuf::from(path));
        (old.register_tls_certificate, new.register_tls_certificate) = (path("a.pem"), path("a.pem"));
        (old.register_tls_key, new.register_tls_key) = (path("a.key"), path("b.key"));
        new.register_tls_client_ca = path("ca.pem");
        (new.listeners[0].tls_certificate, new.listeners[0].tls_key) = (path("a.pem"), path("a.key"));
        let change = old.change(&new).unwrap();
        let names = [
            "tls_certificate",
            "tls_key",
            "register_tls_key",
            "register_tls_client_ca",
            "cluster_name",
            "cluster_tls_key",
        ];
        assert_eq!(change.fixed, names);
        let alone = secret().resolve().unwrap();
        let joined = alone.change(&nats("one", "a.key").resolve().unwrap()).unwrap();
        assert_eq!(joined.fixed, ["cluster_nats"]);
        assert!(joined.settings.cluster_nats.is_empty() && joined.settings.cluster_name == "gateway");
    }

    #[test]
    fn nothing_changed() {
        let change = change(raw(), raw());
        assert!(change.live.is_empty() && change.fixed.is_empty());
    }

    #[test]
    fn a_listener_that_stays_is_found_by_its_address() {
        let mut tcp: super::super::RawListener = "tcp://127.0.0.1:8284".parse().unwrap();
        tcp.max_message = Some(500);
        let new = RawConfig {
            websocket: Some("127.0.0.1:1".parse().unwrap()),
            listener: Some(vec![tcp]),
            ..RawConfig::default()
        };
        let change = change(raw(), new);
        assert_eq!(
            (change.live, change.fixed),
            (vec!["listener 2: max_message".to_owned()], vec!["websocket".to_owned(), "listener".to_owned()])
        );
        let max_message: Vec<_> = change.settings.listeners.iter().map(|one| one.max_message).collect();
        assert_eq!(max_message, [10 << 20, 10 << 20, 500]);
    }

    #[test]
    fn what_is_wrong_before_a_restart_is_refused() {
        let secret =
            RawConfig { secret_key: Some(Secret::new("s3cr3t of 16 bytes")), ..RawConfig::default() };
        let new = RawConfig { require_token: Some(true), ..secret.clone() };
        assert!(change(secret, new.clone()).settings.require_token);
        let old = RawConfig::default().resolve().unwrap();
        let invalid = old.change(&new.resolve().unwrap()).unwrap_err();
        assert_eq!(invalid[0].key, "require_token");
    }
}
