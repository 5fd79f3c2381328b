//! How a PHP process shows that it knows the secret, and which producer it is.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::frame::{self, FrameTooLarge, MAX_LOGIN};
use super::{DecodeError, decode};

pub const NONCE_BYTES: usize = 32;
pub const PROOF_BYTES: usize = 32;

/// A random number that one PHP process keeps for as long as it lives; a forked child takes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Producer(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// The first frame from PHP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// What the connection is for: `php` sends calls, `worker` handles events. Bound into the proof, so that one role's proof is no other's.
    pub role: String,
    pub producer: Producer,
    #[serde(with = "serde_bytes")]
    pub proof: [u8; PROOF_BYTES],
}

impl Login {
    pub const PHP: &'static str = "php";
    pub const WORKER: &'static str = "worker";

    pub fn new(role: &str, producer: Producer, secret: &[u8], nonce: &[u8; NONCE_BYTES]) -> Self {
        let proof = mac(secret, nonce, role, producer).finalize().into_bytes().into();
        Self { role: role.to_owned(), producer, proof }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_LOGIN, |out| frame::write_msgpack(out, self))
    }

    pub fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        decode(content)
    }

    /// Compares in constant time.
    pub fn knows(&self, secret: &[u8], nonce: &[u8; NONCE_BYTES]) -> bool {
        mac(secret, nonce, &self.role, self.producer).verify_slice(&self.proof).is_ok()
    }
}

/// HMAC-SHA-256, keyed by the secret, over nonce, producer and role.
fn mac(secret: &[u8], nonce: &[u8; NONCE_BYTES], role: &str, producer: Producer) -> Hmac<Sha256> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        unreachable!("HMAC takes keys of any length");
    };
    // Nonce and producer have fixed lengths, so the role at the end is told apart from them.
    mac.update(nonce);
    mac.update(&producer.0);
    mac.update(role.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];
    const PRODUCER: Producer = Producer([9; 16]);

    #[test]
    fn round_trip() {
        let login = Login::new(Login::PHP, PRODUCER, b"secret", &NONCE);
        let mut bytes = Vec::new();
        login.encode(&mut bytes).unwrap();
        let decoded = Login::decode(&bytes[frame::HEADER..]).unwrap();
        assert_eq!(decoded, login);
        assert!(decoded.knows(b"secret", &NONCE));
    }

    #[test]
    fn proof_depends_on_all_that_it_covers() {
        let login = Login::new(Login::PHP, PRODUCER, b"secret", &NONCE);
        assert!(!login.knows(b"another", &NONCE));
        assert!(!login.knows(b"", &NONCE));
        assert!(!login.knows(b"secret", &[8; NONCE_BYTES]));
        assert!(!Login { role: "worker".to_owned(), ..login.clone() }.knows(b"secret", &NONCE));
        assert!(!Login { producer: Producer([1; 16]), ..login }.knows(b"secret", &NONCE));
    }

    #[test]
    fn a_role_too_long_is_not_sent() {
        let login = Login::new(&"r".repeat(2000), PRODUCER, b"", &NONCE);
        login.encode(&mut Vec::new()).unwrap_err();
    }
}
