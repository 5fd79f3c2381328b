//! The comparison of secrets.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Tells whether two secrets are the same. The time that it takes does not depend on where they differ.
pub fn is_same_secret(given: &[u8], expected: &[u8]) -> bool {
    mac(given).verify(&mac(expected).finalize().into_bytes()).is_ok()
}

/// Hashes a secret, so that secrets of different lengths are compared as hashes of the same length. The secret is the message and not the
/// key of the HMAC: a key is padded with zeros, so a secret would be the same as one that ends in a zero.
fn mac(secret: &[u8]) -> Hmac<Sha256> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(b"is it the same secret?") else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(secret);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_secrets_apart() {
        assert!(is_same_secret(b"", b"") && is_same_secret(b"secret", b"secret"));
        for other in [
            "",
            "secre",
            "secret ",
            "secret\0",
            "Secret",
            "a secret that is longer than the block of the hash, by a few bytes",
        ] {
            assert!(!is_same_secret(other.as_bytes(), b"secret"), "{other}");
        }
    }
}
