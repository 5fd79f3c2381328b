//! The parser of serialized bytes to nodes.

use super::{Arena, Key, Kind, MAX_DEPTH, Malformed, Node, NodeId};

/// Checks that `bytes` are one serialized array and nothing else. The array may hold objects, of which nothing is made.
pub fn check_array(bytes: &[u8]) -> Result<(), Malformed> {
    Arena::default().parse_array(bytes).map(drop)
}

impl<'a> Arena<'a> {
    /// Reads a document that must be an array. Its references lead to values of the same document.
    pub(super) fn parse_array(&mut self, bytes: &'a [u8]) -> Result<NodeId, Malformed> {
        let root = self.parse(bytes)?;
        match self.nodes[root] {
            Node::Array(_) => Ok(root),
            _ => Err(Malformed::NotAnArray),
        }
    }

    /// Reads a document of any kind.
    pub(super) fn parse(&mut self, bytes: &'a [u8]) -> Result<NodeId, Malformed> {
        let mut parser = Parser { bytes, at: 0, slots: Vec::new(), arena: self };
        let root = parser.value(0)?;
        if parser.at < bytes.len() {
            return Err(Malformed::Trailing { at: parser.at });
        }
        Ok(root)
    }

    pub(super) fn add(&mut self, node: Node<'a>) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

struct Parser<'a, 'b> {
    bytes: &'a [u8],
    at: usize,
    /// The values in the order in which PHP numbers them for references, from 1.
    slots: Vec<NodeId>,
    arena: &'b mut Arena<'a>,
}

impl<'a> Parser<'a, '_> {
    fn value(&mut self, depth: usize) -> Result<NodeId, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        let start = self.at;
        match self.next()? {
            b'N' => self.expect(b";")?,
            b'b' => {
                self.expect(b":")?;
                if !matches!(self.next()?, b'0' | b'1') {
                    return Err(self.unexpected());
                }
                self.expect(b";")?;
            }
            b'i' => {
                self.expect(b":")?;
                self.integer(b';')?;
            }
            b'd' => {
                self.expect(b":")?;
                self.float()?;
            }
            b's' => {
                self.expect(b":")?;
                self.string()?;
                self.expect(b";")?;
            }
            b'E' => {
                self.expect(b":")?;
                self.string()?;
                self.expect(b";")?;
            }
            b'C' => {
                self.expect(b":")?;
                self.string()?;
                self.expect(b":")?;
                let length = self.length(b':')?;
                self.expect(b"{")?;
                self.take(length)?;
                self.expect(b"}")?;
            }
            b'a' => {
                self.expect(b":")?;
                return self.array(depth);
            }
            b'O' => {
                self.expect(b":")?;
                self.string()?;
                let head = &self.bytes[start..self.at];
                self.expect(b":")?;
                return self.object(head, depth);
            }
            kind @ (b'r' | b'R') => {
                self.expect(b":")?;
                return self.reference(if kind == b'r' { Kind::Handle } else { Kind::Alias }, start);
            }
            _ => return Err(self.unexpected()),
        }
        let node = self.arena.add(Node::Plain(&self.bytes[start..self.at]));
        self.slots.push(node);
        Ok(node)
    }

    fn array(&mut self, depth: usize) -> Result<NodeId, Malformed> {
        let length = self.length(b':')?;
        self.expect(b"{")?;
        let node = self.arena.add(Node::Array(Vec::new()));
        self.slots.push(node);
        let mut entries = Vec::new();
        for _ in 0..length {
            let key = self.key()?;
            entries.push((key, self.value(depth + 1)?));
        }
        self.expect(b"}")?;
        self.arena.nodes[node] = Node::Array(entries);
        Ok(node)
    }

    fn object(&mut self, head: &'a [u8], depth: usize) -> Result<NodeId, Malformed> {
        let length = self.length(b':')?;
        self.expect(b"{")?;
        let node = self.arena.add(Node::Object { head, properties: Vec::new() });
        self.slots.push(node);
        let mut properties = Vec::new();
        for _ in 0..length {
            let start = self.at;
            self.key()?;
            let name = &self.bytes[start..self.at];
            properties.push((name, self.value(depth + 1)?));
        }
        self.expect(b"}")?;
        self.arena.nodes[node] = Node::Object { head, properties };
        Ok(node)
    }

    fn reference(&mut self, kind: Kind, start: usize) -> Result<NodeId, Malformed> {
        let slot = self.length(b';')?;
        let target = slot.checked_sub(1).and_then(|slot| self.slots.get(slot));
        let target = *target.ok_or(Malformed::DanglingReference { at: start })?;
        // A reference to a reference leads to the value that the latter refers to.
        let target = match self.arena.nodes[target] {
            Node::Reference { target, .. } => target,
            _ => target,
        };
        let node = self.arena.add(Node::Reference { kind, target });
        match kind {
            Kind::Handle => self.slots.push(node),
            Kind::Alias => {
                let aliased = &mut self.arena.aliased;
                aliased.resize(aliased.len().max(target + 1), false);
                aliased[target] = true;
            }
        }
        Ok(node)
    }

    fn key(&mut self) -> Result<Key<'a>, Malformed> {
        match self.next()? {
            b'i' => {
                self.expect(b":")?;
                Ok(Key::Int(self.integer(b';')?))
            }
            b's' => {
                self.expect(b":")?;
                let text = self.string()?;
                self.expect(b";")?;
                Ok(canonical_integer(text).map_or(Key::Str(text), Key::Int))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Reads a string `LENGTH:"…"`.
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length(b':')?;
        self.expect(b"\"")?;
        let text = self.take(length)?;
        self.expect(b"\"")?;
        Ok(text)
    }

    /// Reads a length or count, digits that `end` follows. It is not believed: no memory is reserved by it, and the loop that it bounds
    /// ends with the bytes at the latest.
    fn length(&mut self, end: u8) -> Result<usize, Malformed> {
        let start = self.at;
        let digits = self.until(end)?;
        std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or(Malformed::Unexpected { at: start })
    }

    fn integer(&mut self, end: u8) -> Result<i64, Malformed> {
        let start = self.at;
        let digits = self.until(end)?;
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(Malformed::Unexpected { at: start })
    }

    fn float(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        let text = self.until(b';')?;
        let is_float = matches!(text, b"NAN" | b"INF" | b"-INF")
            || std::str::from_utf8(text).is_ok_and(|text| {
                text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
                    && text.parse::<f64>().is_ok()
            });
        if is_float { Ok(()) } else { Err(Malformed::Unexpected { at: start }) }
    }

    /// Takes the bytes before `end`, and `end` too. They are a number, and no number is longer than 63 bytes.
    fn until(&mut self, end: u8) -> Result<&'a [u8], Malformed> {
        const LONGEST: usize = 64;
        let rest = &self.bytes[self.at..];
        let rest = &rest[..rest.len().min(LONGEST)];
        match rest.iter().position(|byte| *byte == end) {
            Some(length) => {
                self.at += length + 1;
                Ok(&rest[..length])
            }
            None if rest.len() < LONGEST => Err(Malformed::Truncated),
            None => Err(Malformed::Unexpected { at: self.at }),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes[self.at..].get(..length).ok_or(Malformed::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    fn next(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(Malformed::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), Malformed> {
        for expected in text {
            if self.next()? != *expected {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    /// Makes the error for the byte that was read last.
    fn unexpected(&self) -> Malformed {
        Malformed::Unexpected { at: self.at - 1 }
    }
}

/// Gives the integer that PHP makes of a string key: decimal, in the very digits in which PHP prints it, so `07` and `+7` stay strings.
pub(super) fn canonical_integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
