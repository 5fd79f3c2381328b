//! Checks of settings together, which no row can express: what is of no use or of harm without another, and files that belong together.

use std::path::PathBuf;

use gateway_wire::token::MIN_SECRET;

use super::choices::EventHandlers;
use super::invalid::{Checks, Invalid};
use super::table::{Listener, Settings};
use crate::net::tls::CertificateError;
use crate::net::{NatsAddress, WebhookKey};
use crate::protocol::Protocol;

impl Settings {
    /// Checks those settings together that cannot be checked one by one. What is right in two readings may be wrong together, when a part
    /// of it has to wait for a restart.
    pub(super) fn check_again(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::default();
        self.check_together(&mut checks);
        checks.done(())
    }

    pub(super) fn check_together(&self, checks: &mut Checks) {
        self.register_is_guarded(checks);
        self.tokens_can_be_required(checks);
        self.operations_are_guarded(checks);
        self.notices_have_a_place(checks);
        if self.is_clustered() && self.secret_key.is_empty() {
            let reason =
                "whoever may use NATS could push to all clients: set secret_key, the same on all nodes";
            checks.refuse("cluster_nats", reason);
        }
        self.store_fits(checks);
    }

    fn store_fits(&self, checks: &mut Checks) {
        let (has_jetstream, is_node) = (self.has_jetstream(), self.is_clustered());
        if self.store.is_some() && is_node && !has_jetstream {
            let reason = "the nodes of a cluster do not see each other's files: set it to \"jetstream\", or leave it out";
            checks.refuse("store", reason);
        }
        if has_jetstream && !is_node {
            let reason = "JetStream is that of a cluster's NATS: set cluster_nats, or a path like ./jetstream if a file is meant";
            checks.refuse("store", reason);
        }
        if self.store_replicas > 1 && !has_jetstream {
            checks.refuse("store_replicas", "it is of no use without store = \"jetstream\"");
        }
        let logins =
            |pair: &[NatsAddress]| (&pair[0].user, &pair[0].password) != (&pair[1].user, &pair[1].password);
        if has_jetstream && self.cluster_nats.windows(2).any(logins) {
            let reason =
                "with store = \"jetstream\" all servers of NATS need the same user and password, or token";
            checks.refuse("cluster_nats", reason);
        }
    }

    /// What becomes of messages can be told only of a store, and to somebody.
    fn notices_have_a_place(&self, checks: &mut Checks) {
        let wanted =
            [("receipts", self.receipts), ("undelivered_seconds", !self.undelivered_seconds.is_zero())];
        for (setting, _) in wanted.into_iter().filter(|(_, is_wanted)| *is_wanted) {
            if self.store.is_none() {
                checks.refuse(setting, of_no_use_without("store"));
            } else if self.webhook_url.is_none() && self.events == EventHandlers::BuiltIn {
                let reason = "nobody would be told: set webhook_url, or events to auto or workers".to_owned();
                checks.refuse(setting, reason);
            }
        }
        if self.webhook_url.is_some() {
            if wanted.iter().all(|(_, is_wanted)| !is_wanted) {
                checks.refuse("webhook_url", of_no_use_without("receipts or undelivered_seconds"));
            }
            if self.webhook_secret.is_empty() {
                let reason = "its requests are signed: set webhook_secret or webhook_secret_file".to_owned();
                checks.refuse("webhook_url", reason);
            } else if let Err(reason) = WebhookKey::from_secret(&self.webhook_secret) {
                checks.refuse("webhook_secret", reason);
            }
        } else if self.webhook_tls_ca.is_some() {
            checks.refuse("webhook_tls_ca", of_no_use_without("webhook_url"));
        }
    }

    /// Reads the certificates of the register port, and sees to it that a certificate has its key.
    pub(super) fn check_certificates(&self, checks: &mut Checks) {
        let cluster = (&self.cluster_tls_certificate, &self.cluster_tls_key);
        pair("cluster_tls_certificate", "cluster_tls_key", cluster, checks);
        let register = (&self.register_tls_certificate, &self.register_tls_key);
        pair("register_tls_certificate", "register_tls_key", register, checks);
        if register == (&None, &None) && self.register_tls_client_ca.is_some() {
            checks.refuse("register_tls_client_ca", of_no_use_without("register_tls_certificate"));
        }
        if let Some(problem) = self.register_tls().and_then(|files| files.load().err()) {
            let setting = match problem {
                CertificateError::Certificate(_) => "register_tls_certificate",
                CertificateError::Key(_) => "register_tls_key",
                CertificateError::ClientAuthorities(_) => "register_tls_client_ca",
            };
            checks.refuse(setting, problem.to_string());
        }
    }

    fn register_is_guarded(&self, checks: &mut Checks) {
        if self.register.is_empty() && self.register_unix.is_none() {
            checks.refuse(
                "register",
                "PHP has no way in: give an address, or a path in register_unix".to_owned(),
            );
        }
        let open = self.register.iter().find(|address| !address.ip().is_loopback());
        if let Some(open) = open.filter(|_| self.secret_key.is_empty()) {
            checks.refuse(
                "register",
                format!("{open} can be reached from other machines: set secret_key, or listen on 127.0.0.1"),
            );
        }
    }

    fn tokens_can_be_required(&self, checks: &mut Checks) {
        if !self.require_token {
            return;
        }
        if self.token_key.is_empty() && self.secret_key.as_bytes().len() < MIN_SECRET {
            checks.refuse(
                "require_token",
                format!(
                    "there is no key to read tokens with: set token_key, or a secret_key of {MIN_SECRET} bytes or more"
                ),
            );
        }
        let others = self.listeners.iter().find(|listener| listener.protocol != Protocol::Websocket);
        if let Some(other) = others {
            let protocol = other.protocol.name();
            checks.refuse(
                "require_token",
                format!("clients of the {protocol} listener have no way to bring one"),
            );
        }
    }

    fn operations_are_guarded(&self, checks: &mut Checks) {
        let Some(address) = self.operations.filter(|_| self.operations_token.is_empty()) else {
            return;
        };
        if !address.ip().is_loopback() {
            let reason = "can be reached from other machines: set operations_token, or listen on 127.0.0.1";
            checks.refuse("operations", format!("{address} {reason}"));
        } else if !self.secret_key.is_empty() {
            let reason =
                "everybody on this machine could push there without secret_key: set operations_token too";
            checks.refuse("operations", reason);
        }
    }
}

impl Listener {
    /// Reads its certificate, if it has one, and sees to it that there is a key.
    pub(super) fn check_certificate(&self, checks: &mut Checks) {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), None) => {
                let reason = format!("tls_key is missing, for the key of {}", certificate.display());
                checks.refuse("tls_certificate", reason);
            }
            (None, Some(key)) => {
                let reason = format!("tls_certificate is missing, for the certificate of {}", key.display());
                checks.refuse("tls_key", reason);
            }
            _ => {}
        }
        match self.tls().map(|files| files.load().map(drop)) {
            None | Some(Ok(())) => {}
            Some(Err(CertificateError::Key(reason))) => checks.refuse("tls_key", reason),
            Some(Err(problem)) => checks.refuse("tls_certificate", problem.to_string()),
        }
    }
}

/// A certificate and its key: both or neither.
fn pair(
    certificate_name: &'static str,
    key_name: &'static str,
    (certificate, key): (&Option<PathBuf>, &Option<PathBuf>),
    checks: &mut Checks,
) {
    match (certificate, key) {
        (Some(_), None) => checks.refuse(certificate_name, of_no_use_without(key_name)),
        (None, Some(_)) => checks.refuse(key_name, of_no_use_without(certificate_name)),
        _ => {}
    }
}

fn of_no_use_without(what: &str) -> String {
    format!("it is of no use without {what}")
}
