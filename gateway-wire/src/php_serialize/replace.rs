//! `array_replace_recursive()`.

use std::collections::HashMap;

use super::{Arena, Key, Malformed, Node, NodeId};

/// Gives `array_replace_recursive(old, changes)`: a change takes the place of what has its key, except that two arrays
/// are merged in the same way, and new keys go to the end. Keys and their order, references and objects are PHP's.
pub fn replace_recursive(old: &[u8], changes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut arena = Arena::default();
    let old = arena.parse_array(old)?;
    let changes = arena.parse_array(changes)?;
    // Without references each array is met once; with them, loops would be followed for ever.
    let mut budget = arena.nodes.len();
    arena.replace(old, changes, &mut budget)?;
    arena.write(old)
}

impl<'a> Arena<'a> {
    fn replace(&mut self, old: NodeId, changes: NodeId, budget: &mut usize) -> Result<(), Malformed> {
        *budget = budget.checked_sub(1).ok_or(Malformed::Loop)?;
        let (Some(entries), Some(changes)) = (self.entries(old), self.entries(changes)) else {
            return Err(Malformed::NotAnArray);
        };
        let mut merged = entries.to_vec();
        let changes = changes.to_vec();
        let mut places: HashMap<Key<'a>, usize> =
            merged.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
        for (key, change) in changes {
            let Some(place) = places.get(&key).copied() else {
                places.insert(key, merged.len());
                merged.push((key, change));
                continue;
            };
            let present = merged[place].1;
            match (self.array_at(present), self.array_at(change)) {
                (Some(present), Some(change)) => self.replace(present, change, budget)?,
                _ => merged[place].1 = change,
            }
        }
        self.nodes[old] = Node::Array(merged);
        Ok(())
    }

    fn entries(&self, node: NodeId) -> Option<&[(Key<'a>, NodeId)]> {
        match &self.nodes[node] {
            Node::Array(entries) => Some(entries),
            _ => None,
        }
    }

    /// The array that stands here, itself or by reference.
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

    /// Each result is what PHP 8.2 printed for `serialize(array_replace_recursive($old, $changes))`.
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
            // An object that holds itself.
            (
                r#"a:2:{s:1:"a";i:1;s:1:"o";O:8:"stdClass":1:{s:4:"self";r:3;}}"#,
                r#"a:1:{s:1:"a";a:1:{i:0;i:1;}}"#,
                r#"a:2:{s:1:"a";a:1:{i:0;i:1;}s:1:"o";O:8:"stdClass":1:{s:4:"self";r:4;}}"#,
            ),
        ] {
            let merged = replace_recursive(old.as_bytes(), changes.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(merged).unwrap(), expected, "{old} with {changes}");
        }
    }

    #[test]
    fn strings_hold_any_bytes() {
        let old = b"a:1:{s:4:\"\";}\xff\";i:1;}";
        assert_eq!(replace_recursive(old, b"a:0:{}").unwrap(), old);
    }

    #[test]
    fn string_keys_that_are_integers_meet_integer_keys() {
        let merged = replace_recursive(br#"a:1:{s:1:"5";i:1;}"#, b"a:1:{i:5;i:2;}").unwrap();
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
        assert_eq!(replace_recursive(loops, loops), Err(Malformed::Loop));
    }
}
