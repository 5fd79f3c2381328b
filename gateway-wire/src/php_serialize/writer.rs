//! Plain values to bytes, without a tree of them in memory.

use super::parse::canonical_integer;

/// Appends what PHP's `serialize()` gives for the values that it is told.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub fn null(&mut self) {
        self.out.extend_from_slice(b"N;");
    }

    pub fn int(&mut self, number: i64) {
        self.out.extend_from_slice(format!("i:{number};").as_bytes());
    }

    pub fn string(&mut self, text: &[u8]) {
        self.out.extend_from_slice(format!("s:{}:\"", text.len()).as_bytes());
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\";");
    }

    /// A string as PHP keeps it once it was a key of an array: an integer, if it looks like one.
    pub fn key(&mut self, name: &[u8]) {
        match canonical_integer(name) {
            Some(number) => self.int(number),
            None => self.string(name),
        }
    }

    /// An array; `write` writes the key and the value of each item.
    pub fn array<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.out.extend_from_slice(format!("a:{}:{{", items.len()).as_bytes());
        items.for_each(|item| write(self, item));
        self.out.push(b'}');
    }

    /// An array with the keys 0, 1, 2, …; `write` writes the value of each item.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.array(items.enumerate(), |writer, (place, item)| {
            writer.int(place as i64);
            write(writer, item);
        });
    }

    /// Bytes that `serialize()` gave already.
    pub fn serialized(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}
