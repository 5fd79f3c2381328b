//! The state of a server besides its clients and PHP's connections, in parts with names.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The keys, which come first.
pub(super) const KEYS: &str = "keys";
/// The connection ids that were issued.
pub(super) const CONNECTION_IDS: &str = "connection ids";
/// The single-use tokens that were used.
pub(super) const TOKENS: &str = "tokens";
/// Sockets of PHP's connections, as many as fit, before the connections themselves.
pub(super) const PHP_SOCKETS: &str = "sockets of php";
/// The clients that have moved from or to other nodes.
pub(super) const MOVES: &str = "moves";
/// The node's part in the cluster.
pub(super) const CLUSTER: &str = "cluster";
/// Orders that are kept for other nodes, some at a time, after the node's part in the cluster.
pub(super) const CLUSTER_ORDERS: &str = "orders of the cluster";
/// PHP's connections.
pub(super) const PHP: &str = "php";

/// The version of the form in which the parts are written. It stands in the first byte of each, before msgpack.
const VERSION: u8 = 1;

/// Why a part is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum MalformedPart {
    #[error("its state is written in version {0}, and this server reads version {VERSION}")]
    OtherVersion(u8),
    #[error("its state is not written as version {VERSION} writes it: {0}")]
    Msgpack(#[from] rmp_serde::decode::Error),
    #[error("a part of its state has no bytes")]
    Empty,
}

/// Writes a part.
pub(super) fn write(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Writing plain values to memory cannot fail.
    let _ = rmp_serde::encode::write_named(&mut bytes, value);
    bytes
}

/// Reads a part.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MalformedPart> {
    let (version, rest) = bytes.split_first().ok_or(MalformedPart::Empty)?;
    match *version {
        VERSION => Ok(rmp_serde::from_slice(rest)?),
        other => Err(MalformedPart::OtherVersion(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_it_was_written_or_refused() {
        let value = vec![("alice".to_owned(), 7_u64)];
        assert_eq!(read::<Vec<(String, u64)>>(&write(&value)).unwrap(), value);
        let error = |bytes: &[u8]| read::<Vec<(String, u64)>>(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "a part of its state has no bytes");
        assert_eq!(error(&[9, 0x90]), "its state is written in version 9, and this server reads version 1");
        let written = write(&value);
        for length in 1..written.len() {
            assert!(error(&written[..length]).contains("not written as version 1"));
        }
    }
}
