//! Nodes to bytes, with references numbered anew.

use std::collections::HashMap;

use super::{Arena, Key, Kind, MAX_DEPTH, Malformed, Node, NodeId};

impl Arena<'_> {
    pub(super) fn write(&self, root: NodeId) -> Result<Vec<u8>, Malformed> {
        let mut writer = Writer { arena: self, out: Vec::new(), slots: 0, written: HashMap::new() };
        writer.value(root, 0)?;
        Ok(writer.out)
    }
}

struct Writer<'a, 'b> {
    arena: &'b Arena<'a>,
    out: Vec<u8>,
    /// How many values PHP will have numbered so far.
    slots: usize,
    /// The number of each node that has been written, and how others refer to it.
    written: HashMap<NodeId, (usize, Kind)>,
}

impl Writer<'_, '_> {
    fn value(&mut self, node: NodeId, depth: usize) -> Result<(), Malformed> {
        match &self.arena.nodes[node] {
            Node::Reference { kind, target } => self.shared(*target, *kind, depth),
            // A reference that stands earlier now has been given the value already.
            _ => match self.written.get(&node) {
                Some((_, kind)) => self.shared(node, *kind, depth),
                None => self.fresh(node, Kind::Alias, depth),
            },
        }
    }

    /// A value that stands in several places: the first has it whole.
    fn shared(&mut self, target: NodeId, kind: Kind, depth: usize) -> Result<(), Malformed> {
        let Some((slot, _)) = self.written.get(&target) else { return self.fresh(target, kind, depth) };
        let letter = if kind == Kind::Handle { 'r' } else { 'R' };
        self.out.extend_from_slice(format!("{letter}:{slot};").as_bytes());
        self.slots += usize::from(kind == Kind::Handle);
        Ok(())
    }

    fn fresh(&mut self, node: NodeId, kind: Kind, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        self.slots += 1;
        self.written.insert(node, (self.slots, kind));
        match &self.arena.nodes[node] {
            Node::Plain(bytes) => self.out.extend_from_slice(bytes),
            Node::Array(entries) => {
                self.out.extend_from_slice(format!("a:{}:{{", entries.len()).as_bytes());
                for (key, value) in entries {
                    self.key(*key);
                    self.value(*value, depth + 1)?;
                }
                self.out.push(b'}');
            }
            Node::Object { head, properties } => {
                self.out.extend_from_slice(head);
                self.out.extend_from_slice(format!(":{}:{{", properties.len()).as_bytes());
                for (name, value) in properties {
                    self.out.extend_from_slice(name);
                    self.value(*value, depth + 1)?;
                }
                self.out.push(b'}');
            }
            // The parser lets a reference lead to a value only.
            Node::Reference { .. } => return Err(Malformed::NotAnArray),
        }
        Ok(())
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Int(number) => self.out.extend_from_slice(format!("i:{number};").as_bytes()),
            Key::Str(text) => {
                self.out.extend_from_slice(format!("s:{}:\"", text.len()).as_bytes());
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\";");
            }
        }
    }
}
