//! What settings say together, and what a value says that stands for another one.

use std::path::{Path, PathBuf};

use super::table::{Listener, Settings};
use crate::net::tls::Files;

impl Settings {
    /// The files of the register port's certificate, if it has one.
    pub(crate) fn register_tls(&self) -> Option<Files> {
        let certificate = self.register_tls_certificate.clone()?;
        let client_authorities = self.register_tls_client_ca.clone();
        Some(Files { certificate, key: self.register_tls_key.clone()?, client_authorities, is_web: false })
    }

    /// Whether this server is one node of several.
    pub(crate) fn is_clustered(&self) -> bool {
        !self.cluster_nats.is_empty()
    }

    /// The files of the certificate and the key that this server shows to NATS, if it has them.
    pub(crate) fn cluster_certificate(&self) -> Option<(PathBuf, PathBuf)> {
        self.cluster_tls_certificate.clone().zip(self.cluster_tls_key.clone())
    }

    /// Whether messages for users who are not there wait in JetStream, for all nodes of a cluster.
    pub(crate) fn has_jetstream(&self) -> bool {
        self.store.as_deref().is_some_and(|store| store == Path::new("jetstream"))
    }

    /// The number of groups that a client may be in.
    pub(crate) fn max_groups(&self) -> usize {
        match self.max_groups_per_client {
            0 => usize::MAX,
            groups => groups,
        }
    }
}

impl Listener {
    /// The files of its certificate, if it has one.
    pub(crate) fn tls(&self) -> Option<Files> {
        let (certificate, key) = (self.tls_certificate.clone()?, self.tls_key.clone()?);
        Some(Files { certificate, key, client_authorities: None, is_web: true })
    }

    /// The memory that the unseen messages of a client may take, in bytes; one message alone may take more. A client that is closed
    /// because too much waits for it may come back for all of that.
    pub(crate) fn unseen_bytes(&self) -> usize {
        self.resume_bytes.max(self.outbox_bytes)
    }
}
