//! The writer of nodes to serialized bytes, which numbers references anew.

use std::io::Write as _;

use super::{Arena, Key, Kind, MAX_DEPTH, Malformed, Node, NodeId};

impl Arena<'_> {
    /// Serializes a node. Over `limit` bytes it is an error, and the work ends there.
    pub(super) fn write(&self, root: NodeId, limit: usize) -> Result<Vec<u8>, Malformed> {
        let mut writer =
            Writer { arena: self, out: Vec::new(), limit, slots: 0, written: vec![0; self.nodes.len()] };
        writer.value(root, 0)?;
        Ok(writer.out)
    }
}

struct Writer<'a, 'b> {
    arena: &'b Arena<'a>,
    out: Vec<u8>,
    limit: usize,
    /// The values written so far that count in PHP's numbering of references.
    slots: usize,
    /// The number of each node that has been written. PHP counts from 1, and 0 is a node that has not been written yet.
    written: Vec<usize>,
}

impl Writer<'_, '_> {
    fn value(&mut self, node: NodeId, depth: usize) -> Result<(), Malformed> {
        match &self.arena.nodes[node] {
            Node::Reference { kind, target } => self.shared(*target, *kind, depth),
            // The value may have been written already: by a reference that stands before it now, or in a copy of the same array.
            _ if self.arena.is_aliased(node) => self.shared(node, Kind::Alias, depth),
            _ if self.is_object(node) => self.shared(node, Kind::Handle, depth),
            _ => self.fresh(node, depth),
        }
    }

    /// Writes a value that stands in several places: whole in the first place, and as a reference in the others.
    fn shared(&mut self, target: NodeId, kind: Kind, depth: usize) -> Result<(), Malformed> {
        let slot = self.written[target];
        if slot == 0 {
            return self.fresh(target, depth);
        }
        let letter = if kind == Kind::Handle { 'r' } else { 'R' };
        self.print(format_args!("{letter}:{slot};"));
        self.slots += usize::from(kind == Kind::Handle);
        self.check_length()
    }

    /// Tells whether PHP has one instance of the value, whose further places are handles. Enum cases (`E:`) and objects with a format
    /// of their own (`C:`) are objects too.
    fn is_object(&self, node: NodeId) -> bool {
        match &self.arena.nodes[node] {
            Node::Object { .. } => true,
            Node::Plain(bytes) => matches!(bytes.first(), Some(b'E' | b'C')),
            Node::Array(_) | Node::Reference { .. } => false,
        }
    }

    fn check_length(&self) -> Result<(), Malformed> {
        let limit = self.limit;
        if self.out.len() > limit { Err(Malformed::TooLong { limit }) } else { Ok(()) }
    }

    fn fresh(&mut self, node: NodeId, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        self.slots += 1;
        self.written[node] = self.slots;
        match &self.arena.nodes[node] {
            Node::Plain(bytes) => self.out.extend_from_slice(bytes),
            Node::Array(entries) => {
                self.print(format_args!("a:{}:{{", entries.len()));
                for (key, value) in entries {
                    self.key(*key);
                    self.value(*value, depth + 1)?;
                }
                self.out.push(b'}');
            }
            Node::Object { head, properties } => {
                self.out.extend_from_slice(head);
                self.print(format_args!(":{}:{{", properties.len()));
                for (name, value) in properties {
                    self.out.extend_from_slice(name);
                    self.value(*value, depth + 1)?;
                }
                self.out.push(b'}');
            }
            // The parser lets a reference lead to a value only.
            Node::Reference { .. } => return Err(Malformed::NotAnArray),
        }
        self.check_length()
    }

    fn print(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = self.out.write_fmt(text);
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Int(number) => self.print(format_args!("i:{number};")),
            Key::Str(text) => {
                self.print(format_args!("s:{}:\"", text.len()));
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\";");
            }
        }
    }
}
