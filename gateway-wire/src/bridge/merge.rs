//! The merging of the answers that several nodes give to one query.

use std::collections::{HashMap, HashSet};

use super::{AnswerValue, Query};

/// The plan for a query that concerns clients of all nodes: what each node is asked, and how their answers are merged.
#[derive(Clone, Debug)]
pub struct Aggregation<'a> {
    /// The query that each node gets. It differs from the original where a merge of counts would count a uid twice.
    pub asked: Query<'a>,
    merge: Merge,
    /// The merged names are counted at the end, because a uid that several nodes have counts once.
    is_count: bool,
}

impl<'a> Query<'a> {
    /// Plans the query for a cluster. It gives `None` for a query that one node answers alone.
    pub fn aggregation(&self) -> Option<Aggregation<'a>> {
        let (asked, is_count) = match self {
            Self::UidCount { groups } => (Self::Uids { groups: groups.clone() }, true),
            Self::GroupUidCounts {} => (Self::GroupUids {}, true),
            other => (other.clone(), false),
        };
        let merge = Merge::of(&asked)?;
        Some(Aggregation { asked, merge, is_count })
    }
}

impl Aggregation<'_> {
    /// Merges the answers of all nodes, in any order, into the answer of the cluster. Answers of different forms are an error,
    /// whose text shows two of them.
    pub fn merge(&self, answers: impl Iterator<Item = AnswerValue>) -> Result<AnswerValue, String> {
        let whole = self.merge.all(answers)?;
        Ok(if self.is_count { count(whole) } else { whole })
    }
}

/// The rule by which two answers are merged.
#[derive(Clone, Copy, Debug)]
enum Merge {
    /// The result is true if one of the bools is.
    Any,
    /// Integers are added.
    Sum,
    /// Lists or maps are put one behind the other: a client is on one node only, so none stands in both.
    Concat,
    /// Lists of names are joined, each name once.
    Union,
    /// Two lists of equal length are merged place by place: the first with the first, the second with the second.
    Each(&'static Merge),
    /// Two maps are joined, and the values that stand under the same key in both are merged.
    Keys(&'static Merge),
}

impl Merge {
    /// Gives the rule for a query's answers, or `None` when one node answers the query alone.
    fn of(query: &Query<'_>) -> Option<Self> {
        Some(match query {
            Query::IsUidOnline { .. } => Self::Any,
            Query::ClientCount {} => Self::Sum,
            Query::ClientsOfUid { .. }
            | Query::Clients { .. }
            | Query::Sessions { .. }
            | Query::Nodes {}
            | Query::Replies { .. } => Self::Concat,
            Query::Uids { .. } | Query::Groups {} => Self::Union,
            Query::AreUidsOnline { .. } => Self::Each(&Self::Any),
            Query::ClientsOfUids { .. } => Self::Each(&Self::Concat),
            Query::ClientCountOfEach { .. } | Query::Delivered { .. } => Self::Each(&Self::Sum),
            Query::GroupClients {} => Self::Keys(&Self::Concat),
            Query::GroupClientCounts {} => Self::Keys(&Self::Sum),
            Query::GroupUids {} => Self::Keys(&Self::Union),
            _ => return None,
        })
    }

    fn all(self, mut answers: impl Iterator<Item = AnswerValue>) -> Result<AnswerValue, String> {
        let first = answers.next().unwrap_or(AnswerValue::Null);
        answers.try_fold(first, |one, other| self.two(one, other))
    }

    fn two(self, one: AnswerValue, other: AnswerValue) -> Result<AnswerValue, String> {
        Ok(match (self, one, other) {
            (Self::Any, AnswerValue::Bool(one), AnswerValue::Bool(other)) => AnswerValue::Bool(one || other),
            (Self::Sum, AnswerValue::Int(one), AnswerValue::Int(other)) => {
                AnswerValue::Int(one.saturating_add(other))
            }
            (Self::Concat, AnswerValue::List(mut one), AnswerValue::List(mut other)) => {
                one.append(&mut other);
                AnswerValue::List(one)
            }
            (Self::Concat, AnswerValue::Map(mut one), AnswerValue::Map(mut other)) => {
                one.append(&mut other);
                AnswerValue::Map(one)
            }
            (Self::Union, AnswerValue::List(one), AnswerValue::List(other)) => union(one, other),
            (Self::Each(merge), AnswerValue::List(one), AnswerValue::List(other))
                if one.len() == other.len() =>
            {
                let pairs = one.into_iter().zip(other);
                AnswerValue::List(pairs.map(|(one, other)| merge.two(one, other)).collect::<Result<_, _>>()?)
            }
            (Self::Keys(merge), AnswerValue::Map(one), AnswerValue::Map(other)) => merge.keys(one, other)?,
            (_, one, other) => {
                return Err(format!("nodes of the cluster answer in different forms: {one:?} and {other:?}"));
            }
        })
    }

    fn keys(
        self,
        one: Vec<(AnswerValue, AnswerValue)>,
        other: Vec<(AnswerValue, AnswerValue)>,
    ) -> Result<AnswerValue, String> {
        let mut there: HashMap<Vec<u8>, usize> = one
            .iter()
            .enumerate()
            .filter_map(|(place, (key, _))| Some((bytes(key)?.to_vec(), place)))
            .collect();
        let mut entries: Vec<(AnswerValue, AnswerValue)> = one;
        for (key, value) in other {
            let place = bytes(&key).and_then(|name| there.get(name).copied());
            match place {
                Some(place) => {
                    let before = std::mem::replace(&mut entries[place].1, AnswerValue::Null);
                    entries[place].1 = self.two(before, value)?;
                }
                None => {
                    if let Some(name) = bytes(&key) {
                        there.insert(name.to_vec(), entries.len());
                    }
                    entries.push((key, value));
                }
            }
        }
        Ok(AnswerValue::Map(entries))
    }
}

/// Counts the names of a list, or those under each key of a map.
fn count(names: AnswerValue) -> AnswerValue {
    match names {
        AnswerValue::List(names) => AnswerValue::Int(names.len() as i64),
        AnswerValue::Map(entries) => {
            AnswerValue::Map(entries.into_iter().map(|(key, names)| (key, count(names))).collect())
        }
        other => other,
    }
}

fn union(one: Vec<AnswerValue>, other: Vec<AnswerValue>) -> AnswerValue {
    let new: Vec<_> = {
        let there: HashSet<_> = one.iter().filter_map(bytes).collect();
        other.into_iter().filter(|name| bytes(name).is_none_or(|name| !there.contains(name))).collect()
    };
    AnswerValue::List(one.into_iter().chain(new).collect())
}

fn bytes(value: &AnswerValue) -> Option<&[u8]> {
    match value {
        AnswerValue::Str(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> AnswerValue {
        AnswerValue::List(names.iter().map(|name| AnswerValue::Str(name.as_bytes().to_vec())).collect())
    }

    fn map(entries: &[(&str, AnswerValue)]) -> AnswerValue {
        let entry =
            |(key, value): &(&str, AnswerValue)| (AnswerValue::Str(key.as_bytes().to_vec()), value.clone());
        AnswerValue::Map(entries.iter().map(entry).collect())
    }

    fn merged(query: &Query<'_>, answers: &[AnswerValue]) -> AnswerValue {
        query.aggregation().unwrap().merge(answers.iter().cloned()).unwrap()
    }

    #[test]
    fn each_query_in_its_way() {
        use AnswerValue::{Bool, Int, List};
        let uid = serde_bytes::Bytes::new(b"a");
        assert_eq!(merged(&Query::IsUidOnline { uid }, &[Bool(false), Bool(true), Bool(false)]), Bool(true));
        assert_eq!(merged(&Query::ClientCount {}, &[Int(2), Int(3), Int(0)]), Int(5));
        assert_eq!(merged(&Query::ClientsOfUid { uid }, &[names(&["1"]), names(&["2"])]), names(&["1", "2"]));
        let delivered = Query::Delivered { id: 1 };
        assert_eq!(
            merged(&delivered, &[List(vec![Int(1), Int(2), Int(0)]), List(vec![Int(4), Int(0), Int(1)])]),
            List(vec![Int(5), Int(2), Int(1)])
        );
        let replies = Query::Replies { id: 1, wait: 0 };
        assert_eq!(
            merged(&replies, &[map(&[("a", Bool(false))]), map(&[("b", AnswerValue::Null)])]),
            map(&[("a", Bool(false)), ("b", AnswerValue::Null)])
        );
        let uids = Query::Uids { groups: None };
        assert_eq!(merged(&uids, &[names(&["a", "b"]), names(&["b", "c"])]), names(&["a", "b", "c"]));
        assert_eq!(merged(&Query::UidCount { groups: None }, &[names(&["a"]), names(&["a"])]), Int(1));
        assert_eq!(
            merged(
                &Query::AreUidsOnline { uids: vec![] },
                &[List(vec![Bool(true), Bool(false)]), List(vec![Bool(false), Bool(false)])]
            ),
            List(vec![Bool(true), Bool(false)])
        );
        assert_eq!(
            merged(
                &Query::GroupClientCounts {},
                &[map(&[("g", Int(1)), ("h", Int(2))]), map(&[("h", Int(5)), ("i", Int(7))])]
            ),
            map(&[("g", Int(1)), ("h", Int(7)), ("i", Int(7))])
        );
        let group_uids = [map(&[("g", names(&["a"]))]), map(&[("g", names(&["a", "b"]))])];
        assert_eq!(merged(&Query::GroupUidCounts {}, &group_uids), map(&[("g", Int(2))]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(Merge::Sum.all([AnswerValue::Int(1), AnswerValue::Null].into_iter()).is_err());
        assert!(Merge::Each(&Merge::Any).all([names(&["a"]), names(&[])].into_iter()).is_err());
    }
}
