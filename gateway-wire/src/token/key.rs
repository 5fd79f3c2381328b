//! The key by which connect tokens are signed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest secret, in bytes, of which a key for tokens is made. Whoever has a token can try secrets for as long as he likes,
/// without asking anybody.
pub const MIN_SECRET: usize = 16;

/// A secret of which no key for tokens is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret has {0} bytes, and whoever has a token could find out one of fewer than {MIN_SECRET} by trying"
)]
pub struct SecretTooShort(usize);

/// What connect tokens are signed with.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    pub fn new(key: &[u8]) -> Self {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
            unreachable!("HMAC takes keys of any length");
        };
        Self(mac)
    }

    /// The one in use where none is set: HMAC-SHA-256 of a fixed text, keyed by the secret of the register port.
    pub fn derived(secret_key: &[u8]) -> Result<Self, SecretTooShort> {
        if secret_key.len() < MIN_SECRET {
            return Err(SecretTooShort(secret_key.len()));
        }
        Ok(Self::new(&Self::new(secret_key).sign(b"gateway connect token v1")))
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// Compares in constant time.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.verify_slice(signature).is_ok()
    }
}
