//! The state of a server besides its clients and PHP's connections, in parts with names.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::versioned::{Form, Malformed};

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
/// The messages and questions of which PHP may still ask what has become of them. It is left out where there are none, as an earlier
/// version does not know it.
pub(super) const TRACKED: &str = "tracked messages";
/// The node's part in the cluster.
pub(super) const CLUSTER: &str = "cluster";
/// Orders that are kept for other nodes, some at a time, after the node's part in the cluster.
pub(super) const CLUSTER_ORDERS: &str = "orders of the cluster";
/// PHP's connections.
pub(super) const PHP: &str = "php";

/// The channel to a process that was the old one of an earlier upgrade and has something left to do.
pub(super) const PREDECESSOR: &str = "predecessor";

const FORM: Form = Form::new("a part of its state", 1).with_names();

/// Writes a part.
pub(super) fn write(value: &impl Serialize) -> Vec<u8> {
    FORM.write(value)
}

/// Reads a part.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    FORM.read(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::UsedTokens;
    use crate::server::keys::Keys;

    /// The parts as the first release of version 1 has written them.
    const KEYS: &[u8] = include_bytes!("golden/keys_1.bin");
    const TOKENS: &[u8] = include_bytes!("golden/used_tokens_1.bin");

    #[test]
    fn parts_of_every_released_version_are_read() {
        let keys =
            Keys { proofs: [1; 16], secrets: [2; 16], connection_ids: [200; 16], instance: u64::MAX - 1 };
        assert_eq!(write(&keys), KEYS);
        assert!(read::<Keys>(KEYS).unwrap() == keys);
        assert_eq!(write(&UsedTokens::example()), TOKENS);
        assert_eq!(read::<UsedTokens>(TOKENS).unwrap(), UsedTokens::example());
    }

    #[test]
    fn a_part_is_read_as_it_was_written_or_refused() {
        let value = vec![("alice".to_owned(), 7_u64)];
        assert_eq!(read::<Vec<(String, u64)>>(&write(&value)).unwrap(), value);
        let error = |bytes: &[u8]| read::<Vec<(String, u64)>>(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "a part of its state has no bytes");
        assert_eq!(
            error(&[9, 0x90]),
            "a part of its state is written in version 9, and this server reads version 1"
        );
        let written = write(&value);
        for length in 1..written.len() {
            assert!(error(&written[..length]).contains("not written as version 1"));
        }
    }
}
