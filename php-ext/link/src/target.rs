//! Which gateway to talk to: its addresses in the order to try them, the secret, the protocol and the TLS files.

use std::fmt;

use std::path::PathBuf;

use crate::address::Address;

/// A gateway or cluster that a link connects to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    addresses: Vec<Address>,
    secret: Vec<u8>,
    protocol: GatewayProtocol,
    tls: TlsFiles,
}

/// The files by which a gateway with TLS is verified, and by which it verifies this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that vouch for gateways, in PEM; `None` means those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// This process's certificate and its key, in PEM, for gateways that require one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// The protocol that is spoken at the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayProtocol {
    /// The bridge or that of GatewayWorker's register, whichever answers; with a secret the same as
    /// [`GatewayProtocol::Bridge`], so that no other program that happens to listen there is told the secret.
    #[default]
    Auto,
    /// Our bridge alone: the secret never travels.
    Bridge,
    /// That of GatewayWorker's register alone, without a search for our gateway first. The secret travels as it is.
    GatewayWorker,
}

/// The error that a target was given no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of gateway addresses is empty; give at least one, as host:port")]
pub struct NoAddress;

impl Target {
    /// A target with these addresses, which are tried in order, and a secret that may be empty. Fails without an address.
    pub fn new(addresses: Vec<Address>, secret: Vec<u8>) -> Result<Self, NoAddress> {
        if addresses.is_empty() {
            return Err(NoAddress);
        }
        Ok(Self { addresses, secret, protocol: GatewayProtocol::Auto, tls: TlsFiles::default() })
    }

    /// Chooses the protocol; [`GatewayProtocol::Auto`] is the default.
    pub fn speaking(self, protocol: GatewayProtocol) -> Self {
        Self { protocol, ..self }
    }

    /// Sets the files for addresses with TLS.
    pub fn with_tls(self, tls: TlsFiles) -> Self {
        Self { tls, ..self }
    }

    pub(crate) fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// The protocol that is spoken, given whether there is a secret.
    pub fn protocol(&self) -> GatewayProtocol {
        match self.protocol {
            GatewayProtocol::Auto if !self.secret.is_empty() => GatewayProtocol::Bridge,
            protocol => protocol,
        }
    }

    /// The addresses in the order of trial; there is at least one.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Whether an attempt to connect ends within its bound of time, as no name has to be resolved and nothing waits in TLS.
    pub(crate) fn connects_in_time(&self) -> bool {
        self.addresses.iter().all(|address| address.is_resolved() && !address.is_tls())
    }

    /// The secret that both sides must know; empty when there is none.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The text never shows the secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.secret.is_empty() { "not set" } else { "set" };
        f.debug_struct("Target")
            .field("addresses", &self.addresses)
            .field("secret", &secret)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_never_shown() {
        let address = Address::parse(b"127.0.0.1:1").unwrap();
        let target = Target::new(vec![address], b"hunter2".to_vec()).unwrap();
        assert!(!format!("{target:?} {target}").contains("hunter2"));
        assert!(format!("{target:?}").contains("\"set\""));
    }

    #[test]
    fn the_secret_is_told_only_by_explicit_wish() {
        let target = |secret: &[u8], protocol| {
            let address = Address::parse(b"127.0.0.1:1").unwrap();
            Target::new(vec![address], secret.to_vec()).unwrap().speaking(protocol).protocol()
        };
        assert_eq!(target(b"", GatewayProtocol::Auto), GatewayProtocol::Auto);
        assert_eq!(target(b"secret", GatewayProtocol::Auto), GatewayProtocol::Bridge);
        assert_eq!(target(b"secret", GatewayProtocol::GatewayWorker), GatewayProtocol::GatewayWorker);
        assert_eq!(target(b"", GatewayProtocol::Bridge), GatewayProtocol::Bridge);
    }

    #[test]
    fn a_target_has_an_address() {
        assert_eq!(Target::new(vec![], vec![]), Err(NoAddress));
    }
}
