//! The comparison of secrets.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Compares secrets in a time that tells nothing about where they differ.
pub fn is_same_secret(given: &[u8], expected: &[u8]) -> bool {
    mac(given).verify(&mac(expected).finalize().into_bytes()).is_ok()
}

/// Of one length whatever the secret's. As a key it would be padded with zeros, and equal to one that ends in them.
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
