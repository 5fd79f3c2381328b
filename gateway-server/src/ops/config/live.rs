//! What a running server takes of new settings.

use super::listener::Listener;
use super::settings::{Invalid, Settings};

/// Settings that were read again.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is to be served by now.
    pub settings: Settings,
    /// The names of those that change now.
    pub live: Vec<String>,
    /// The names of those that stay as they were until a restart.
    pub fixed: Vec<String>,
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
        let mut names = (live, fixed);
        let settings = take!(
            self, new, &mut names;
            live: token_key, require_token, operations_token, worker_buffer_bytes, deflate, max_connections, max_connections_per_address,
                handshakes_per_second, max_request_bytes, max_groups_per_client, max_session_bytes, max_unfinished_bytes,
                trusted_proxies, handshake_timeout,
                max_handshakes, close_timeout, drain_seconds, stop_timeout, log;
            fixed: reuse_port, register, register_unix, register_tls, secret_key, operations, node, cluster, shards, io_uring, events, message_type,
                max_register_connections, log_format;
            else: listeners
        );
        let settings = Self { listeners, ..settings };
        settings.check()?;
        Ok(Change { settings, live: names.0, fixed: names.1 })
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
        let change = |(number, old): (usize, &Listener)| match same_place(number, old) {
            Some(new) => old.change(new.clone(), &mut |name| {
                live.push(if number == 0 { name.to_owned() } else { format!("listener {number}: {name}") });
            }),
            None => old.clone(),
        };
        self.listeners.iter().enumerate().map(change).collect()
    }
}

impl Listener {
    fn change(&self, new: Self, changed: &mut impl FnMut(&str)) -> Self {
        let mut names = (Vec::new(), Vec::new());
        let listener = take!(
            self, new, &mut names;
            live: ping_interval, ping_not_response_limit, ping_data, max_message, outbox_bytes, origins, paths, hosts,
                messages_per_second, bytes_per_second;
            fixed: tls, proxy_protocol;
            else: protocol, address
        );
        let (live, _): (Vec<String>, Vec<String>) = names;
        live.iter().for_each(|name| changed(name));
        listener
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Layer, Secret};
    use super::*;

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
        assert_eq!(max_message, [1 << 20, 1 << 20, 500]);
    }

    #[test]
    fn what_is_wrong_before_a_restart_is_refused() {
        let secret = Layer { secret_key: Some(Secret::new("s3cr3t")), ..Layer::default() };
        let new = Layer { require_token: Some(true), ..secret.clone() };
        assert!(change(secret, new.clone()).settings.require_token);
        let old = Layer::default().settle().unwrap();
        let invalid = old.change(new.settle().unwrap()).unwrap_err();
        assert_eq!(invalid[0].key, "require_token");
    }
}
