//! Which gateway to talk to: its addresses in the order to try them, the secret, and what may be spoken.

use std::fmt;

use std::path::PathBuf;

use crate::address::Address;

#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    addresses: Vec<Address>,
    secret: Vec<u8>,
    protocol: GatewayProtocol,
    tls: TlsFiles,
}

/// What a gateway with TLS is known by, and what it knows us by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of those who vouch for gateways; the system's, if none.
    pub authorities: Option<PathBuf>,
    /// Our own, for gateways that want to see one, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// What is spoken at the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayProtocol {
    /// Whatever answers there, as long as there is no secret; with one as [`GatewayProtocol::Bridge`], so that nobody is told
    /// the secret who happens to listen there.
    #[default]
    Auto,
    /// Ours alone: the secret never travels.
    Bridge,
    /// That of GatewayWorker's register alone, without first looking for our gateway. The secret travels as it is.
    GatewayWorker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of gateway addresses is empty; give at least one, as host:port")]
pub struct NoAddress;

impl Target {
    pub fn new(addresses: Vec<Address>, secret: Vec<u8>) -> Result<Self, NoAddress> {
        if addresses.is_empty() {
            return Err(NoAddress);
        }
        Ok(Self { addresses, secret, protocol: GatewayProtocol::Auto, tls: TlsFiles::default() })
    }

    pub fn speaking(self, protocol: GatewayProtocol) -> Self {
        Self { protocol, ..self }
    }

    pub fn with_tls(self, tls: TlsFiles) -> Self {
        Self { tls, ..self }
    }

    pub(crate) fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// The protocol that is spoken, with or without a secret.
    pub fn protocol(&self) -> GatewayProtocol {
        match self.protocol {
            GatewayProtocol::Auto if !self.secret.is_empty() => GatewayProtocol::Bridge,
            protocol => protocol,
        }
    }

    /// At least one.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

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

/// Never shows the secret.
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
