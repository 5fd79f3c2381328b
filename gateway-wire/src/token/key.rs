//! The key by which connect tokens are signed (HMAC-SHA-256).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest secret, in bytes, of which a key for tokens is derived. A client that has a token can try secrets against its signature
/// for as long as it likes, without asking the server, and would find a shorter one.
pub const MIN_SECRET: usize = 16;

/// The error for a secret of which no key for tokens is derived, because it has fewer than [`MIN_SECRET`] bytes. It names the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret has {0} bytes, and whoever has a token could find out one of fewer than {MIN_SECRET} by trying"
)]
pub struct SecretTooShort(usize);

/// A key that signs connect tokens and checks their signatures.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// Makes a key of bytes, of any length, that were set for this alone.
    pub fn new(key: &[u8]) -> Self {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
            unreachable!("HMAC takes keys of any length");
        };
        Self(mac)
    }

    /// Derives the key that is in use where none is set: the HMAC-SHA-256 of a fixed text, keyed by the secret of the register port. A
    /// secret of fewer than [`MIN_SECRET`] bytes is an error.
    pub fn derived(secret_key: &[u8]) -> Result<Self, SecretTooShort> {
        if secret_key.len() < MIN_SECRET {
            return Err(SecretTooShort(secret_key.len()));
        }
        Ok(Self::new(&Self::new(secret_key).sign(b"gateway connect token v1")))
    }

    /// Makes the HMAC-SHA-256 of `bytes`.
    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// Tells whether `signature` is that of `bytes` by this key. It compares in constant time.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.verify_slice(signature).is_ok()
    }
}
