//! The connection of a store to NATS.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::Notify;

use crate::config::Settings;
use crate::net::{NatsAddress, tls};
use crate::system::files::{self, Reads};

/// How long one server may take to let this one in.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the connection is tested; after two tests without an answer it is made anew.
const PING_PERIOD: Duration = Duration::from_secs(2);
/// The longest pause before a server is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of the longest credentials file.
const MAX_CREDENTIALS: u64 = 64 << 10;
/// The answers and news that wait in memory at most, each in the queue of whoever asked.
const QUEUE: usize = 1024;

/// What a store of a cluster goes by.
#[derive(Clone, Debug)]
pub struct JetStreamSettings {
    /// The settings of the server, which name a cluster. They do not change for as long as the store is open.
    pub server: Arc<Settings>,
    /// The name under which NATS' monitoring lists the connection.
    pub client: String,
}

/// Connects, and logs in. The connection is made again by itself when it breaks; `is_back` is told of that.
pub(super) async fn connect(settings: &JetStreamSettings, is_back: Arc<Notify>) -> Result<Client, String> {
    static READS: Reads = Reads::new();
    let read = Arc::clone(&settings.server);
    // Files that the settings name may hang, and nothing else must hang with them.
    let mut options = READS.run(move || options(&read)).await.map_err(|failed| failed.to_string())??;
    options = options
        .name(&settings.client)
        .retain_servers_order()
        .ignore_discovered_servers()
        .connection_timeout(PATIENCE)
        .ping_interval(PING_PERIOD)
        .subscription_capacity(QUEUE)
        .reconnect_delay_callback(|attempts| {
            LONGEST_PAUSE
                .min(Duration::from_millis(50).saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX)))
        })
        .event_callback(move |event| {
            if let Event::Connected = event {
                is_back.notify_one();
            }
            tracing::debug!(%event, "the store's connection to NATS");
            std::future::ready(())
        });
    let addresses: Vec<_> = settings.server.cluster_nats.iter().map(NatsAddress::to_string).collect();
    let connected = tokio::time::timeout(PATIENCE * 2, options.connect(addresses.clone())).await;
    let why = match connected {
        Ok(Ok(client)) => return Ok(client),
        // What is behind the error says more than the error itself.
        Ok(Err(error)) => std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string),
        Err(_) => format!("no answer for {} s", (PATIENCE * 2).as_secs()),
    };
    Err(format!("NATS cannot be reached at {}: {why}", addresses.join(", ")))
}

fn options(settings: &Settings) -> Result<ConnectOptions, String> {
    let mut options = ConnectOptions::new();
    if let Some(path) = &settings.cluster_credentials {
        let about = |reason: String| format!("{}: {reason}", path.display());
        let text = files::read_text(path, MAX_CREDENTIALS).map_err(|error| about(error.to_string()))?;
        options = options.credentials(&text).map_err(|error| about(error.to_string()))?;
    }
    // All addresses have the same login; that is checked with the settings.
    let login = settings
        .cluster_nats
        .iter()
        .find_map(|address| Some((address.user.clone()?, address.password.clone())));
    match login {
        Some((user, Some(password))) => options = options.user_and_password(user, password),
        Some((token, None)) => options = options.token(token),
        None => {}
    }
    let certificate = settings.cluster_certificate();
    Ok(options
        .tls_client_config(tls::client_config(settings.cluster_tls_ca.as_deref(), certificate.as_ref())?))
}
