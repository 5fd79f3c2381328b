//! What a client alone is told, so that it can prove later whose client_id it holds.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// Makes the proofs of this server process: SipHash-2-4 with 128 bits, by a key that nobody else has.
#[derive(Clone)]
pub struct ClientProofs {
    key: [u8; 16],
}

impl ClientProofs {
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The proof of a connection, in 32 hex digits, for as long as its number is its own.
    pub(crate) fn of(&self, number: u32) -> String {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u32(number);
        format!("{:032x}", hasher.finish128().as_u128())
    }
}

impl std::fmt::Debug for ClientProofs {
    /// No key is ever printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proofs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_and_each_key_has_its_own() {
        let proofs = ClientProofs::new([1; 16]);
        assert_eq!(proofs.of(7), proofs.clone().of(7));
        assert_eq!(proofs.of(7).len(), 32);
        assert_ne!(proofs.of(7), proofs.of(8));
        assert_ne!(proofs.of(7), ClientProofs::new([2; 16]).of(7));
    }
}
