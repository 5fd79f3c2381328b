//! The origin of a message in a cluster, by which a client that comes from another node is told what it has got there already.

use hashbrown::HashMap;

/// The order that has brought a message: the number that the process which published it has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The instance of the process that published the order, or 0 if other nodes never got it.
    process: u64,
    number: u64,
}

/// How far a node has carried out the orders of each process of the cluster, its own included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contained(HashMap<u64, u64>);

impl Origin {
    /// The origin of messages for clients that are named by their ids, and of those that concern this node alone. They reach a client
    /// at one node only.
    pub const HERE: Self = Self { process: 0, number: 0 };

    /// The origin of messages of an order that other nodes got too.
    pub fn published(process: u64, number: u64) -> Self {
        Self { process, number }
    }
}

impl Contained {
    /// Whether a message of this origin has been carried out.
    pub(super) fn has(&self, origin: Origin) -> bool {
        origin != Origin::HERE && self.0.get(&origin.process).is_some_and(|number| origin.number <= *number)
    }
}

impl FromIterator<(u64, u64)> for Contained {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(positions: I) -> Self {
        Self(positions.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_carried_out_is_known_by_process_and_number() {
        let contained: Contained = [(7, 3), (8, 0)].into_iter().collect();
        let has = |process, number| contained.has(Origin::published(process, number));
        assert!(has(7, 1) && has(7, 3));
        assert!(!has(7, 4) && !has(8, 1) && !has(9, 1) && !contained.has(Origin::HERE));
    }
}
