//! The settings of the register ports.

use std::sync::Arc;
use std::time::Duration;

use super::stream::ConnectionSlots;
use crate::config::Settings;
use crate::net::Permits;
use crate::net::tls::Certificate;
use crate::telemetry::ConnectionCounter;

/// Time after which a connection that has not logged in loses its slot to a new connection, when no other slot is free.
const STALLED: Duration = Duration::from_secs(1);

/// Makes the slots of all PHP connections. Connections of one other machine that have not logged in may take a quarter of them.
pub fn connection_slots(most: usize) -> Arc<ConnectionSlots> {
    Permits::new(most, most / 4, STALLED)
}

/// What the register ports go by: the settings, and beside them what is made for these ports. A reload makes new ones, which count
/// for connections from then on.
#[derive(Clone, Debug)]
pub struct RegisterPortSettings {
    /// The settings of the server.
    pub server: Arc<Settings>,
    /// The slots of all PHP connections, on all register ports together.
    pub slots: Arc<ConnectionSlots>,
    /// Counts the PHP connections that came and that are there.
    pub counter: Arc<ConnectionCounter>,
    /// The certificate with which PHP on other machines must speak TLS. With `None` nobody speaks TLS.
    pub certificate: Option<Arc<Certificate>>,
}
