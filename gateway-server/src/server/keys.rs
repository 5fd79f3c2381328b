//! The random keys of a server. The next process after an upgrade keeps them, so that client_ids, proofs and resume secrets stay good.

use serde::{Deserialize, Serialize};

/// The keys, all from the system's random generator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keys {
    /// Makes the proofs that clients get in their init messages.
    pub(super) proofs: [u8; 16],
    /// Makes the secrets by which clients come back.
    pub(super) secrets: [u8; 16],
    /// Makes the random parts of client_ids.
    pub(super) connection_ids: [u8; 16],
    /// Tells this server from those that were started before at the same address.
    pub(super) instance: u64,
}

impl Keys {
    pub(super) fn draw() -> anyhow::Result<Self> {
        Ok(Self {
            proofs: random()?,
            secrets: random()?,
            connection_ids: random()?,
            instance: u64::from_ne_bytes(random()?),
        })
    }
}

/// Gives bytes of the system's random generator.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}
