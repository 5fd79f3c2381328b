//! The login of a PHP process: it and the gateway prove to each other that they know the secret, and it says which producer it is.
//!
//! Each side proves it over a random number that the other side chose, so that a recorded proof is useless later. The two proofs
//! differ by a label, so that neither side can be answered with its own proof. A peer in between that passes both proofs on is
//! not found out by this; only TLS finds it out.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::frame::{self, FrameTooLarge, MAX_LOGIN};
use super::{DecodeError, decode};

/// Length of a [`Nonce`], in bytes.
pub const NONCE_BYTES: usize = 32;
/// Length of a [`Proof`], in bytes: that of an HMAC-SHA-256.
pub const PROOF_BYTES: usize = 32;

/// A random number that is used for one login.
pub type Nonce = [u8; NONCE_BYTES];
/// An HMAC-SHA-256 that only a peer that knows the secret can make.
pub type Proof = [u8; PROOF_BYTES];

/// The labels of the two proofs, which are hashed first. Both have the same length, so that each field that follows has a fixed
/// place.
const BY_PHP: &[u8; 24] = b"push-gateway php proves\n";
const BY_GATEWAY: &[u8; 24] = b"push-gateway gw  proves\n";

/// Names one PHP process by a random number that it keeps for as long as it lives; a forked child takes a new one. The gateway
/// remembers for each producer which orders it has applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Producer(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// The first frame from PHP, in answer to the gateway's [`Hello`](super::Reply::Hello). Its content has at most [`MAX_LOGIN`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The purpose of the connection: [`Login::PHP`] sends calls, [`Login::WORKER`] handles events. The proof covers it, so that the
    /// proof of one role is not good for the other.
    pub role: String,
    /// The PHP process that logs in.
    pub producer: Producer,
    /// The process's own random number, over which the gateway proves in its turn that it knows the secret.
    #[serde(with = "serde_bytes")]
    pub nonce: Nonce,
    /// The proof over the gateway's nonce and all fields above.
    #[serde(with = "serde_bytes")]
    pub proof: Proof,
}

impl Login {
    /// The role of a connection that sends calls.
    pub const PHP: &'static str = "php";
    /// The role of a connection that handles events.
    pub const WORKER: &'static str = "worker";

    /// Makes a login with its proof. `gateways` is the nonce from the gateway's hello; `nonce` is a random number made for this
    /// login alone.
    pub fn new(role: &str, producer: Producer, secret: &[u8], gateways: &Nonce, nonce: Nonce) -> Self {
        let mut login = Self { role: role.to_owned(), producer, nonce, proof: [0; PROOF_BYTES] };
        login.proof = login.mac(BY_PHP, secret, gateways).finalize().into_bytes().into();
        login
    }

    /// Appends the login as a frame. Over [`MAX_LOGIN`] bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_LOGIN, |out| frame::write_msgpack(out, self))
    }

    /// Reads the content of a frame. It checks neither the role nor the proof.
    pub fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        decode(content)
    }

    /// Tells whether the proof shows that PHP knows `secret`. `gateways` is the nonce that this gateway gave in its hello. It
    /// compares in constant time.
    pub fn knows(&self, secret: &[u8], gateways: &Nonce) -> bool {
        self.mac(BY_PHP, secret, gateways).verify_slice(&self.proof).is_ok()
    }

    /// Makes the proof that the gateway answers to this login, by the same nonce that its hello gave.
    pub fn gateway_proof(&self, secret: &[u8], gateways: &Nonce) -> Proof {
        self.mac(BY_GATEWAY, secret, gateways).finalize().into_bytes().into()
    }

    /// Tells whether `proof`, the gateway's answer to this login, shows that the gateway knows `secret`. It compares in constant time.
    pub fn is_answered(&self, secret: &[u8], gateways: &Nonce, proof: &Proof) -> bool {
        self.mac(BY_GATEWAY, secret, gateways).verify_slice(proof).is_ok()
    }

    /// Makes the HMAC-SHA-256, keyed by the secret, over the label, both nonces, the producer and the role.
    fn mac(&self, label: &[u8; 24], secret: &[u8], gateways: &Nonce) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
            unreachable!("HMAC takes keys of any length");
        };
        // All fields but the role have fixed lengths, so the role at the end cannot be mistaken for a part of another field.
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
        // The answer is not good for an earlier login, nor for one of another role or process.
        let role = Login { role: Login::WORKER.to_owned(), ..login.clone() };
        let number = Login { nonce: [8; NONCE_BYTES], ..login.clone() };
        let producer = Login { producer: Producer([1; 16]), ..login.clone() };
        for other in [role, number, producer] {
            assert!(!other.is_answered(b"secret", &NONCE, &proof), "{other:?}");
        }
        // PHP's own proof is not good as the gateway's, neither over the same nonces nor over exchanged ones.
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
