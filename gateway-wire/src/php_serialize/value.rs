//! Plain values, read from serialized bytes and borrowed from them.

use super::{Arena, Key, Malformed, Node, NodeId};

/// A plain value: one without objects and references. GatewayWorker's replies and sessions of plain data are such values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhpValue<'a> {
    /// Null, `N;`.
    Null,
    /// A bool, `b:0;` or `b:1;`.
    Bool(bool),
    /// An integer, `i:5;`.
    Int(i64),
    /// A float, `d:0.5;`, as it is written: a decimal number, `INF`, `-INF` or `NAN`.
    Float(&'a [u8]),
    /// A string, `s:3:"abc";`: any bytes.
    Str(&'a [u8]),
    /// An array, `a:1:{…}`: its entries in their order. A key may stand twice, which PHP itself never writes.
    Array(Vec<(Key<'a>, PhpValue<'a>)>),
}

impl<'a> PhpValue<'a> {
    /// Reads one document. Objects and references are an error, as are bytes behind the value and more than
    /// [`MAX_DEPTH`](super::MAX_DEPTH) levels of nesting.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut arena = Arena::default();
        let root = arena.parse(bytes)?;
        arena.value(root)
    }
}

/// Tells whether PHP takes an array for a list: its keys are 0, 1, 2 and so on, in this order.
pub fn is_list(entries: &[(Key<'_>, PhpValue<'_>)]) -> bool {
    (0..).zip(entries).all(|(place, (key, _))| *key == Key::Int(place))
}

impl<'a> Arena<'a> {
    /// Makes a plain value of a node. It recurses as deep as the parser went, which is bounded.
    fn value(&self, node: NodeId) -> Result<PhpValue<'a>, Malformed> {
        match &self.nodes[node] {
            Node::Plain(bytes) => plain(bytes).ok_or(Malformed::NotPlain),
            Node::Array(entries) => {
                let entry = |(key, value): &(Key<'a>, NodeId)| Ok((*key, self.value(*value)?));
                entries.iter().map(entry).collect::<Result<_, _>>().map(PhpValue::Array)
            }
            Node::Object { .. } | Node::Reference { .. } => Err(Malformed::NotPlain),
        }
    }
}

/// Reads a scalar that the parser has found to be well-formed.
fn plain<'a>(bytes: &'a [u8]) -> Option<PhpValue<'a>> {
    match bytes {
        b"N;" => Some(PhpValue::Null),
        b"b:0;" => Some(PhpValue::Bool(false)),
        b"b:1;" => Some(PhpValue::Bool(true)),
        [b'i', b':', digits @ .., b';'] => {
            Some(PhpValue::Int(std::str::from_utf8(digits).ok()?.parse().ok()?))
        }
        [b'd', b':', float @ .., b';'] => Some(PhpValue::Float(float)),
        [b's', b':', rest @ .., b'"', b';'] => {
            let start = rest.iter().position(|byte| *byte == b'"')?;
            Some(PhpValue::Str(&rest[start + 1..]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_DEPTH, Writer};
    use super::*;

    #[test]
    fn reads_what_is_written() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).array(
            [(b"7".as_slice(), 1), (b"07", 2), (b"a\";b", 3)].iter(),
            |writer, (key, value)| {
                writer.key(key);
                match value {
                    1 => writer.null(),
                    2 => writer.list([-5, 6].into_iter(), Writer::int),
                    _ => writer.string(b"\"\xff"),
                }
            },
        );
        assert_eq!(bytes, b"a:3:{i:7;N;s:2:\"07\";a:2:{i:0;i:-5;i:1;i:6;}s:4:\"a\";b\";s:2:\"\"\xff\";}");
        let list = vec![(Key::Int(0), PhpValue::Int(-5)), (Key::Int(1), PhpValue::Int(6))];
        let expected = vec![
            (Key::Int(7), PhpValue::Null),
            (Key::Str(b"07"), PhpValue::Array(list)),
            (Key::Str(b"a\";b"), PhpValue::Str(b"\"\xff")),
        ];
        assert_eq!(PhpValue::parse(&bytes), Ok(PhpValue::Array(expected)));
        for end in 0..bytes.len() {
            PhpValue::parse(&bytes[..end]).unwrap_err();
        }
        assert_eq!(PhpValue::parse(b"b:1;"), Ok(PhpValue::Bool(true)));
        assert_eq!(PhpValue::parse(b"d:-0.5E+7;"), Ok(PhpValue::Float(b"-0.5E+7")));
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for bytes in [
            r#"O:8:"stdClass":0:{}"#,
            r#"a:1:{i:0;O:8:"stdClass":0:{}}"#,
            r#"C:3:"Foo":0:{}"#,
            r#"E:7:"Suit:Ok";"#,
            "a:2:{i:0;i:1;i:1;R:2;}",
        ] {
            assert_eq!(PhpValue::parse(bytes.as_bytes()), Err(Malformed::NotPlain), "{bytes}");
        }
    }

    #[test]
    fn nesting_and_counts_are_not_believed() {
        let deep = "a:1:{i:0;".repeat(MAX_DEPTH * 1000);
        assert_eq!(PhpValue::parse(deep.as_bytes()), Err(Malformed::TooDeep));
        PhpValue::parse(b"a:999999999999:{").unwrap_err();
        PhpValue::parse(b"s:999999999999:\"x\";").unwrap_err();
    }
}
