//! To whom a message goes.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Name;

#[derive(PartialEq, Eq)]
pub(crate) enum Audience {
    All { except: Except },
    Connections(SmallVec<[u32; 4]>),
    Uids(SmallVec<[Name; 1]>),
    Groups { groups: SmallVec<[Name; 1]>, except: Except },
}

impl Audience {
    /// Connections of a part.
    pub(super) const PART: usize = 4096;

    /// In how many parts it is told one after the other, each of which has no more receivers than there are clients.
    pub(super) fn parts(&self) -> usize {
        match self {
            Self::All { .. } => 1,
            Self::Connections(numbers) => numbers.len().div_ceil(Self::PART),
            Self::Uids(uids) => uids.len(),
            Self::Groups { groups, .. } => groups.len(),
        }
    }
}

/// Connections left out of a broadcast, sorted.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Except(Option<Arc<[u32]>>);

impl Except {
    pub(crate) fn new(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        Self((!numbers.is_empty()).then(|| numbers.into()))
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.0.as_ref().is_some_and(|numbers| numbers.binary_search(&number).is_ok())
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |numbers| numbers.len())
    }
}
