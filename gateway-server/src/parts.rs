//! What each part of the server takes from the settings.

use std::net::SocketAddrV4;
use std::sync::Arc;

use gateway_wire::token::TokenKey;

use crate::backend;
use crate::client::websocket::Kind;
use crate::listener::{self, Admission, Gate, Rules};
use crate::ops::config::{MessageType, Settings};
use crate::shard::{self, Bounds, Door, Heartbeat, Rate};

pub(crate) fn message_kind(settings: &Settings) -> Kind {
    match settings.message_type {
        MessageType::Text => Kind::Text,
        MessageType::Binary => Kind::Binary,
    }
}

/// For the listener of this number.
pub(crate) fn listener(
    settings: &Settings,
    number: usize,
    gate: &Arc<Gate>,
    admission: &Arc<Admission>,
) -> Arc<listener::Settings> {
    let listener = &settings.listeners[number];
    Arc::new(listener::Settings {
        protocol: listener.protocol,
        // Their number is bounded where settings are checked.
        door: number as u8,
        handshake_timeout: settings.handshake_timeout,
        max_handshakes: settings.max_handshakes,
        deflate: settings.deflate,
        rules: Rules {
            origins: listener.origins.clone(),
            paths: listener.paths.clone(),
            hosts: listener.hosts.clone(),
            max_request_bytes: settings.max_request_bytes,
        },
        gate: Arc::clone(gate),
        handshakes_per_second: settings.handshakes_per_second,
        admission: Arc::clone(admission),
    })
}

/// One that knows what tokens the one before it has let in.
pub(crate) fn gate(settings: &Settings, before: &Gate) -> Arc<Gate> {
    let key = match (settings.token_key.as_bytes(), settings.secret_key.as_bytes()) {
        ([], []) => None,
        ([], secret) => Some(TokenKey::derived(secret)),
        (key, _) => Some(TokenKey::new(key)),
    };
    let Bounds { groups, session } = bounds(settings);
    Arc::new(before.with(key, settings.require_token, groups, session))
}

/// For the shards; `ports` are those that the listeners have got.
pub(crate) fn shard(settings: &Settings, ports: &[u16], node: SocketAddrV4) -> shard::Settings {
    let door = |(listener, port): (&crate::ops::config::Listener, &u16)| Door {
        port: *port,
        max_message: listener.max_message,
        outbox_bytes: listener.outbox_bytes,
        heartbeat: Heartbeat {
            interval: listener.ping_interval,
            not_response_limit: listener.ping_not_response_limit,
            data: listener.ping_data.clone().into_bytes(),
        },
        rate: Rate { messages: listener.messages_per_second, bytes: listener.bytes_per_second },
    };
    shard::Settings {
        node,
        message_kind: message_kind(settings),
        doors: settings.listeners.iter().zip(ports).map(door).collect(),
        close_timeout: settings.close_timeout,
        bounds: bounds(settings),
    }
}

pub(crate) fn register_port(settings: &Settings) -> backend::Settings {
    backend::Settings { handshake_timeout: settings.handshake_timeout }
}

fn bounds(settings: &Settings) -> Bounds {
    let groups = match settings.max_groups_per_client {
        0 => usize::MAX,
        groups => groups,
    };
    Bounds { groups, session: settings.max_session_bytes }
}
