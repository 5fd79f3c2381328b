//! The secrets by which clients come back.

use std::hash::Hasher as _;
use std::num::NonZeroU32;

use gateway_wire::ClientId;
use gateway_wire::client_protocol::ResumeSecret;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// Makes the resume secrets of this server process. The secret of a client with a number is the SipHash-2-4 of both with 128 bits,
/// by a key that no other process has; so none has to be kept.
#[derive(Clone)]
pub struct ResumeSecrets {
    key: [u8; 16],
}

impl ResumeSecrets {
    /// Makes the secrets of 16 bytes from the system's random generator.
    pub fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The secret of a client with this number.
    pub(super) fn secret(&self, client: ClientId, number: NonZeroU32) -> ResumeSecret {
        ResumeSecret::new(client, self.hash(client.connection, u64::from(number.get())).to_be_bytes())
    }

    /// The number of the first secret of a client. It depends on the number of connections that came before, as a connection id is
    /// issued again after all others.
    pub(super) fn first(&self, connection_id: u32, came: u64) -> NonZeroU32 {
        // The numbers of secrets have 32 bits, so no secret is made of this.
        NonZeroU32::new(self.hash(connection_id, came | 1 << 63) as u32).unwrap_or(NonZeroU32::MIN)
    }

    fn hash(&self, connection_id: u32, number: u64) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u32(connection_id);
        hasher.write_u64(number);
        hasher.finish128().as_u128()
    }
}

impl std::fmt::Debug for ResumeSecrets {
    /// Prints the name only, never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResumeSecrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_number_and_key_has_its_own() {
        let client = |connection| ClientId::new("127.0.0.1:1238".parse().unwrap(), connection);
        let number = |number| NonZeroU32::new(number).unwrap();
        let secrets = ResumeSecrets::new([1; 16]);
        let secret = secrets.secret(client(7), number(1));
        assert_eq!(secrets.clone().secret(client(7), number(1)), secret);
        assert_ne!(secrets.secret(client(8), number(1)), secret);
        assert_ne!(secrets.secret(client(7), number(2)), secret);
        assert_ne!(ResumeSecrets::new([2; 16]).secret(client(7), number(1)), secret);
        assert_ne!(secrets.first(7, 1), secrets.first(7, 2));
    }
}
