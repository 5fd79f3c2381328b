//! How a PHP process and a gateway show each other that they know the secret, and which producer the process is.
//!
//! Each proves it over a random number of the other's, so that nothing recorded is good a second time. What the two
//! prove differs by a label: neither can be answered with its own words. A gateway that lies in between and passes both
//! proofs on is not found out by this, but by TLS.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::frame::{self, FrameTooLarge, MAX_LOGIN};
use super::{DecodeError, decode};

pub const NONCE_BYTES: usize = 32;
pub const PROOF_BYTES: usize = 32;

/// A number that is used for one login.
pub type Nonce = [u8; NONCE_BYTES];
/// What only those who know the secret can say.
pub type Proof = [u8; PROOF_BYTES];

/// They stand before what is proved. Both have one length, so that all that follows is told apart by its place.
const BY_PHP: &[u8; 24] = b"push-gateway php proves\n";
const BY_GATEWAY: &[u8; 24] = b"push-gateway gw  proves\n";

/// A random number that one PHP process keeps for as long as it lives; a forked child takes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Producer(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// The first frame from PHP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// What the connection is for: `php` sends calls, `worker` handles events. Bound into the proof, so that one role's proof is no other's.
    pub role: String,
    pub producer: Producer,
    /// What the gateway is to prove its knowledge over.
    #[serde(with = "serde_bytes")]
    pub nonce: Nonce,
    #[serde(with = "serde_bytes")]
    pub proof: Proof,
}

impl Login {
    pub const PHP: &'static str = "php";
    pub const WORKER: &'static str = "worker";

    /// `gateways` is the number that the gateway gave, `nonce` one that was made for this login.
    pub fn new(role: &str, producer: Producer, secret: &[u8], gateways: &Nonce, nonce: Nonce) -> Self {
        let mut login = Self { role: role.to_owned(), producer, nonce, proof: [0; PROOF_BYTES] };
        login.proof = login.mac(BY_PHP, secret, gateways).finalize().into_bytes().into();
        login
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_LOGIN, |out| frame::write_msgpack(out, self))
    }

    pub fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        decode(content)
    }

    /// Whether PHP knows the secret. Compares in constant time.
    pub fn knows(&self, secret: &[u8], gateways: &Nonce) -> bool {
        self.mac(BY_PHP, secret, gateways).verify_slice(&self.proof).is_ok()
    }

    /// What the gateway answers to this login.
    pub fn gateway_proof(&self, secret: &[u8], gateways: &Nonce) -> Proof {
        self.mac(BY_GATEWAY, secret, gateways).finalize().into_bytes().into()
    }

    /// Whether the gateway that answered so knows the secret. Compares in constant time.
    pub fn is_answered(&self, secret: &[u8], gateways: &Nonce, proof: &Proof) -> bool {
        self.mac(BY_GATEWAY, secret, gateways).verify_slice(proof).is_ok()
    }

    /// HMAC-SHA-256, keyed by the secret, over label, both numbers, producer and role.
    fn mac(&self, label: &[u8; 24], secret: &[u8], gateways: &Nonce) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
            unreachable!("HMAC takes keys of any length");
        };
        // All but the role have fixed lengths, so the role at the end is told apart from them.
        mac.update(label);
        mac.update(gateways);
        mac.update(&self.nonce);
        mac.update(&self.producer.0);
        mac.update(self.role.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = [7; NONCE_BYTES];
    const OWN: Nonce = [6; NONCE_BYTES];
    const PRODUCER: Producer = Producer([9; 16]);

    #[test]
    fn round_trip() {
        let login = Login::new(Login::PHP, PRODUCER, b"secret", &NONCE, OWN);
        let mut bytes = Vec::new();
        login.encode(&mut bytes).unwrap();
        let decoded = Login::decode(&bytes[frame::HEADER..]).unwrap();
        assert_eq!(decoded, login);
        assert!(decoded.knows(b"secret", &NONCE));
    }

    #[test]
    fn proof_depends_on_all_that_it_covers() {
        let login = Login::new(Login::PHP, PRODUCER, b"secret", &NONCE, OWN);
        assert!(!login.knows(b"another", &NONCE));
        assert!(!login.knows(b"", &NONCE));
        assert!(!login.knows(b"secret", &[8; NONCE_BYTES]));
        assert!(!Login { role: "worker".to_owned(), ..login.clone() }.knows(b"secret", &NONCE));
        assert!(!Login { nonce: [8; NONCE_BYTES], ..login.clone() }.knows(b"secret", &NONCE));
        assert!(!Login { producer: Producer([1; 16]), ..login }.knows(b"secret", &NONCE));
    }

    #[test]
    fn the_gateway_proves_itself_by_what_nobody_else_can_say() {
        let login = Login::new(Login::PHP, PRODUCER, b"secret", &NONCE, OWN);
        let proof = login.gateway_proof(b"secret", &NONCE);
        assert!(login.is_answered(b"secret", &NONCE, &proof));
        assert!(!login.is_answered(b"another", &NONCE, &proof));
        assert!(!login.is_answered(b"secret", &[8; NONCE_BYTES], &proof));
        // An answer to an earlier login, or to one of another role or process.
        let role = Login { role: Login::WORKER.to_owned(), ..login.clone() };
        let number = Login { nonce: [8; NONCE_BYTES], ..login.clone() };
        let producer = Login { producer: Producer([1; 16]), ..login.clone() };
        for other in [role, number, producer] {
            assert!(!other.is_answered(b"secret", &NONCE, &proof), "{other:?}");
        }
        // PHP's own proof, sent back: over the same numbers, and over exchanged ones.
        assert!(!login.is_answered(b"secret", &NONCE, &login.proof));
        let exchanged = Login::new(Login::PHP, PRODUCER, b"secret", &OWN, NONCE);
        assert!(!login.is_answered(b"secret", &NONCE, &exchanged.proof));
        assert!(!exchanged.knows(b"secret", &NONCE));
    }

    #[test]
    fn a_role_too_long_is_not_sent() {
        let login = Login::new(&"r".repeat(2000), PRODUCER, b"", &NONCE, OWN);
        login.encode(&mut Vec::new()).unwrap_err();
    }
}
