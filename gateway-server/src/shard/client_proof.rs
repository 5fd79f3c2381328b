//! A proof that only the client itself is told, by which it can show later that a client_id is its own.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// Makes the proofs of this server process. A proof is the SipHash-2-4 of the connection id with 128 bits, by a key that no other
/// process has.
#[derive(Clone)]
pub struct ClientProofs {
    key: [u8; 16],
}

impl ClientProofs {
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The proof of a connection, in 32 hex digits. It stays the same as long as the connection has this id.
    pub(crate) fn of(&self, connection_id: u32) -> String {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u32(connection_id);
        format!("{:032x}", hasher.finish128().as_u128())
    }
}

impl std::fmt::Debug for ClientProofs {
    /// Prints the name only, never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientProofs").finish_non_exhaustive()
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
