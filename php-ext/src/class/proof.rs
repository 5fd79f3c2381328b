//! Proofs that a page which names a client_id is the one that got it.

use gateway_wire::bridge::Query;
use gateway_wire::{ClientId, is_same_secret};

use super::method::methods;
use crate::args::{Client, UntrustedString};
use crate::links::query;
use crate::values;

methods! {
    /// Programs that greet clients by themselves use this; the proof must be sent to that client alone.
    fn getClientProof(call, client_id: Client) -> Zval {
        query(call.properties()?, Query::ProofOfClient { client: client_id.0 }, values::optional_string)
    }

    fn isClientProof(call, client_id: UntrustedString, proof: UntrustedString) -> bool {
        let (Some(client_id), Some(proof)) = (client_id.0, proof.0) else { return Ok(false) };
        let Ok(client) = ClientId::from_hex(client_id.bytes()) else { return Ok(false) };
        query(call.properties()?, Query::ProofOfClient { client }, |answer| {
            let expected = values::optional_bytes(answer)?;
            Ok(expected.is_some_and(|expected| is_same_secret(proof.bytes(), expected)))
        })
    }
}
