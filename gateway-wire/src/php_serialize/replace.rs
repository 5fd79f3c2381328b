//! PHP's `array_replace_recursive()` on serialized arrays.

use std::collections::{HashMap, HashSet};

use super::{Arena, Key, MAX_DEPTH, Malformed, Node, NodeId};

/// Fewest bytes that an entry of an array takes: `i:0;N;`.
const LEAST_ENTRY: usize = 6;

/// Merges two serialized arrays as `array_replace_recursive($old, $changes)` does: a change replaces the value that has its key, two
/// arrays under one key are merged in the same way, and new keys go to the end. Keys and their order, references and objects come
/// out as PHP's `serialize()` writes them after the same call.
///
/// The result has at most `limit` bytes; a longer one is an error, as are inputs that are malformed, nested deeper than [`MAX_DEPTH`],
/// or no arrays. The work grows with the bytes of both inputs and the limit only: references, by which a few bytes stand for many
/// values, do not multiply it.
pub fn replace_recursive(old: &[u8], changes: &[u8], limit: usize) -> Result<Vec<u8>, Malformed> {
    let mut arena = Arena::default();
    // A merge of two arrays looks at the entries of both, and its result stands in the whole result. So the budget is never too small,
    // except for arrays that have a key twice, which PHP never writes.
    let budget =
        limit.saturating_mul(2).saturating_add(old.len()).saturating_add(changes.len()) / LEAST_ENTRY;
    let old = arena.parse_array(old)?;
    let changes = arena.parse_array(changes)?;
    let mut merge = Merge { arena: &mut arena, limit, budget, under_way: HashSet::new() };
    let merged = merge.arrays(old, changes, 0)?;
    arena.write(merged, limit)
}

struct Merge<'a, 'b> {
    arena: &'b mut Arena<'a>,
    limit: usize,
    /// Entries of arrays that may still be looked at.
    budget: usize,
    /// Arrays of the changes that are being merged, each within the one before; one that is met again holds itself.
    under_way: HashSet<NodeId>,
}

impl<'a> Merge<'a, '_> {
    /// Merges two arrays into a new one: as in PHP, a reference from elsewhere to the old one keeps the old one.
    fn arrays(&mut self, old: NodeId, changes: NodeId, depth: usize) -> Result<NodeId, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        if !self.under_way.insert(changes) {
            return Err(Malformed::Loop);
        }
        let (Some(entries), Some(new)) = (self.arena.entries(old), self.arena.entries(changes)) else {
            return Err(Malformed::NotAnArray);
        };
        let looked_at = entries.len() + new.len();
        self.budget = self.budget.checked_sub(looked_at).ok_or(Malformed::TooLong { limit: self.limit })?;
        let (mut merged, new) = (entries.to_vec(), new.to_vec());
        let mut places: HashMap<Key<'a>, usize> =
            merged.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
        for (key, change) in new {
            let Some(place) = places.get(&key).copied() else {
                places.insert(key, merged.len());
                merged.push((key, change));
                continue;
            };
            let present = merged[place].1;
            merged[place].1 = match (self.arena.array_at(present), self.arena.array_at(change)) {
                (Some(present), Some(change)) => self.arrays(present, change, depth + 1)?,
                _ => change,
            };
        }
        self.under_way.remove(&changes);
        Ok(self.arena.add(Node::Array(merged)))
    }
}

impl<'a> Arena<'a> {
    fn entries(&self, node: NodeId) -> Option<&[(Key<'a>, NodeId)]> {
        match &self.nodes[node] {
            Node::Array(entries) => Some(entries),
            _ => None,
        }
    }

    /// Gives the array at this node or, if a reference stands there, the array to which it leads.
    fn array_at(&self, node: NodeId) -> Option<NodeId> {
        let node = match self.nodes[node] {
            Node::Reference { target, .. } => target,
            _ => node,
        };
        self.entries(node).map(|_| node)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_array;
    use super::*;

    fn merge(old: &[u8], changes: &[u8]) -> Result<Vec<u8>, Malformed> {
        replace_recursive(old, changes, 1 << 20)
    }

    /// PHP 8.2 printed the expected results for `serialize(array_replace_recursive($old, $changes))`.
    #[test]
    fn merges_as_php_does() {
        for (old, changes, expected) in [
            ("a:0:{}", "a:0:{}", "a:0:{}"),
            (r#"a:1:{s:1:"a";i:1;}"#, r#"a:1:{s:1:"b";d:0.5;}"#, r#"a:2:{s:1:"a";i:1;s:1:"b";d:0.5;}"#),
            // Keys keep their places.
            (
                r#"a:2:{s:1:"a";i:1;s:1:"b";i:2;}"#,
                r#"a:2:{s:1:"b";N;s:1:"a";b:1;}"#,
                r#"a:2:{s:1:"a";b:1;s:1:"b";N;}"#,
            ),
            // Lists are merged by index.
            ("a:3:{i:0;i:1;i:1;i:2;i:2;i:3;}", "a:1:{i:1;i:9;}", "a:3:{i:0;i:1;i:1;i:9;i:2;i:3;}"),
            // Arrays merge, an array over a scalar and a scalar over an array replace.
            (
                r#"a:3:{s:1:"m";a:2:{s:1:"x";i:1;s:1:"y";i:2;}s:1:"s";i:5;s:1:"t";a:1:{i:0;i:1;}}"#,
                r#"a:3:{s:1:"m";a:1:{s:1:"y";i:3;}s:1:"s";a:0:{}s:1:"t";i:6;}"#,
                r#"a:3:{s:1:"m";a:2:{s:1:"x";i:1;s:1:"y";i:3;}s:1:"s";a:0:{}s:1:"t";i:6;}"#,
            ),
            // An object is a value like any other.
            (
                r#"a:1:{s:1:"o";O:8:"stdClass":1:{s:1:"a";i:1;}}"#,
                r#"a:1:{s:1:"o";O:8:"stdClass":1:{s:1:"b";i:2;}}"#,
                r#"a:1:{s:1:"o";O:8:"stdClass":1:{s:1:"b";i:2;}}"#,
            ),
            // Handles of one object are numbered anew when values come before them.
            (
                r#"a:3:{s:1:"n";i:0;s:1:"o";O:8:"stdClass":0:{}s:1:"p";r:3;}"#,
                r#"a:1:{s:1:"n";a:2:{i:0;i:1;i:1;i:2;}}"#,
                r#"a:3:{s:1:"n";a:2:{i:0;i:1;i:1;i:2;}s:1:"o";O:8:"stdClass":0:{}s:1:"p";r:5;}"#,
            ),
            // When the first handle goes, the next one has the object.
            (
                r#"a:2:{s:1:"o";O:8:"stdClass":1:{s:1:"a";i:1;}s:1:"p";r:2;}"#,
                r#"a:1:{s:1:"o";i:1;}"#,
                r#"a:2:{s:1:"o";i:1;s:1:"p";O:8:"stdClass":1:{s:1:"a";i:1;}}"#,
            ),
            // An object may hold itself.
            (
                r#"a:2:{s:1:"a";i:1;s:1:"o";O:8:"stdClass":1:{s:4:"self";r:3;}}"#,
                r#"a:1:{s:1:"a";a:1:{i:0;i:1;}}"#,
                r#"a:2:{s:1:"a";a:1:{i:0;i:1;}s:1:"o";O:8:"stdClass":1:{s:4:"self";r:4;}}"#,
            ),
            // A reference to an array that is merged elsewhere keeps the array as it was.
            (
                r#"a:2:{s:1:"a";a:1:{i:0;i:1;}s:1:"b";R:2;}"#,
                r#"a:1:{s:1:"b";a:1:{i:1;i:2;}}"#,
                r#"a:2:{s:1:"a";a:1:{i:0;i:1;}s:1:"b";a:2:{i:0;i:1;i:1;i:2;}}"#,
            ),
            (
                r#"a:3:{s:1:"a";a:1:{i:0;i:1;}s:1:"b";R:2;s:1:"c";R:2;}"#,
                r#"a:1:{s:1:"a";a:1:{i:1;i:2;}}"#,
                r#"a:3:{s:1:"a";a:2:{i:0;i:1;i:1;i:2;}s:1:"b";a:1:{i:0;i:1;}s:1:"c";R:5;}"#,
            ),
            // Objects and references that both copies hold are the same, and the rest is there twice.
            (
                r#"a:2:{s:1:"a";a:4:{i:0;i:1;i:1;a:1:{i:0;i:2;}i:2;i:5;i:3;O:8:"stdClass":0:{}}s:1:"b";R:2;}"#,
                r#"a:1:{s:1:"b";a:1:{i:0;i:3;}}"#,
                r#"a:2:{s:1:"a";a:4:{i:0;i:1;i:1;a:1:{i:0;i:2;}i:2;i:5;i:3;O:8:"stdClass":0:{}}s:1:"b";a:4:{i:0;i:3;i:1;a:1:{i:0;i:2;}i:2;i:5;i:3;r:7;}}"#,
            ),
            (
                r#"a:3:{s:1:"a";i:7;s:1:"b";a:1:{i:0;R:2;}s:1:"c";R:3;}"#,
                r#"a:1:{s:1:"b";a:1:{i:1;i:3;}}"#,
                r#"a:3:{s:1:"a";i:7;s:1:"b";a:2:{i:0;R:2;i:1;i:3;}s:1:"c";a:1:{i:0;R:2;}}"#,
            ),
        ] {
            let merged = merge(old.as_bytes(), changes.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(merged).unwrap(), expected, "{old} with {changes}");
        }
    }

    #[test]
    fn strings_hold_any_bytes() {
        let old = b"a:1:{s:4:\"\";}\xff\";i:1;}";
        assert_eq!(merge(old, b"a:0:{}").unwrap(), old);
    }

    #[test]
    fn string_keys_that_are_integers_meet_integer_keys() {
        let merged = merge(br#"a:1:{s:1:"5";i:1;}"#, b"a:1:{i:5;i:2;}").unwrap();
        assert_eq!(merged, b"a:1:{i:5;i:2;}");
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for (bytes, error) in [
            (b"".as_slice(), Malformed::Truncated),
            (b"i:1;", Malformed::NotAnArray),
            (b"a:0:{}x", Malformed::Trailing { at: 6 }),
            (b"a:1:{}", Malformed::Unexpected { at: 5 }),
            (b"a:9999999999999:{i:0;i:1;}", Malformed::Unexpected { at: 25 }),
            (b"a:1:{i:0;s:99999:\"x\";}", Malformed::Truncated),
            (b"a:1:{i:0;R:7;}", Malformed::DanglingReference { at: 9 }),
            (b"a:1:{i:0;R:0;}", Malformed::DanglingReference { at: 9 }),
            (b"a:1:{N;i:1;}", Malformed::Unexpected { at: 5 }),
            (b"a:1:{i:0;i:99999999999999999999;}", Malformed::Unexpected { at: 11 }),
            (b"a:1:{i:0;d:one;}", Malformed::Unexpected { at: 11 }),
            (b"a:-1:{}", Malformed::Unexpected { at: 2 }),
        ] {
            assert_eq!(check_array(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = br#"a:4:{i:-1;b:0;s:1:"a";a:1:{i:0;N;}s:1:"o";O:3:"Foo":1:{s:1:"p";d:1.5E+25;}s:1:"e";E:7:"Suit:Ok";}"#;
        check_array(whole).unwrap();
        for end in 0..whole.len() {
            check_array(&whole[..end]).unwrap_err();
        }
    }

    #[test]
    fn nesting_and_loops_are_bounded() {
        let deep = "a:1:{i:0;".repeat(100_000);
        assert_eq!(check_array(deep.as_bytes()), Err(Malformed::TooDeep));
        // $a['x'] = &$a, merged with itself.
        let loops = br#"a:1:{s:1:"x";a:2:{s:1:"x";R:2;s:1:"y";R:2;}}"#;
        assert_eq!(merge(loops, loops), Err(Malformed::Loop));
    }

    /// Makes an array whose first entry is a large array, and whose others are `first`, such as references to it.
    fn referring(large: usize, references: usize, first: &str) -> String {
        let entries: String = (0..large).map(|key| format!("i:{key};i:1;")).collect();
        let more: String = (1..=references).map(|key| format!("i:{key};{first}")).collect();
        format!("a:{}:{{i:0;a:{large}:{{{entries}}}{more}}}", references + 1)
    }

    #[test]
    fn references_multiply_neither_the_work_nor_the_result() {
        // Merging a large array as often as the bytes allow would take hours; a bounded number takes no time.
        let (large, references) = (60_000, 60_000);
        let old_refers = referring(large, references, "R:2;");
        let old_is_small = referring(1, references, "a:0:{}");
        let small_changes = referring(1, references, "a:1:{i:0;i:2;}");
        for (old, changes) in
            [(&old_refers, &small_changes), (&old_is_small, &old_refers), (&old_refers, &old_refers)]
        {
            let limit = 1 << 20;
            let merged = replace_recursive(old.as_bytes(), changes.as_bytes(), limit);
            assert_eq!(merged, Err(Malformed::TooLong { limit }));
        }
        // A key that stands twice names the same array each time.
        let twice = format!("a:{references}:{{{}}}", "i:0;a:1:{i:0;i:2;}".repeat(references));
        let merged = replace_recursive(referring(large, 0, "").as_bytes(), twice.as_bytes(), 1 << 20);
        assert_eq!(merged, Err(Malformed::TooLong { limit: 1 << 20 }));
    }

    #[test]
    fn a_result_is_as_long_as_its_limit_allows() {
        let (old, changes) = (referring(9, 9, "R:2;"), referring(9, 9, "R:2;"));
        let whole = merge(old.as_bytes(), changes.as_bytes()).unwrap();
        let within = |limit| replace_recursive(old.as_bytes(), changes.as_bytes(), limit);
        assert_eq!(within(whole.len()).as_ref(), Ok(&whole));
        assert_eq!(within(whole.len() - 1), Err(Malformed::TooLong { limit: whole.len() - 1 }));
        assert_eq!(within(0), Err(Malformed::TooLong { limit: 0 }));
    }

    #[test]
    fn references_within_references_are_bounded_in_depth() {
        // Each array holds the one before it by reference, so the nesting is deeper than it looks in the bytes.
        let nested: String = (1..100_000).map(|key| format!("i:{key};a:1:{{i:0;R:{};}}", key + 1)).collect();
        let nested = format!("a:100000:{{i:0;a:0:{{}}{nested}}}");
        let merged = replace_recursive(nested.as_bytes(), nested.as_bytes(), 1 << 30);
        assert_eq!(merged, Err(Malformed::TooDeep));
        // An array that refers to the whole document is merged with itself, and with changes of great depth.
        let padding = "i:5;".repeat(2 * 50_000);
        let old = format!("a:50002:{{i:0;R:1;i:1;i:1;{padding}}}");
        merge(old.as_bytes(), old.as_bytes()).unwrap_err();
        let changes = format!("{}i:1;i:1;{}", "a:2:{i:0;".repeat(200), "i:1;i:1;}".repeat(200));
        let _ = merge(old.as_bytes(), changes.as_bytes());
    }
}
