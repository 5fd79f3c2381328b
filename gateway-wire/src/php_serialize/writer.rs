//! A writer of plain values to serialized bytes, without a tree of them in memory.

use super::parse::canonical_integer;

/// Appends values as PHP's `serialize()` writes them. The caller keeps arrays well-formed: each entry is one key and one value.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Makes a writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes null.
    pub fn null(&mut self) {
        self.out.extend_from_slice(b"N;");
    }

    /// Writes an integer, as a value or as a key.
    pub fn int(&mut self, number: i64) {
        self.out.extend_from_slice(format!("i:{number};").as_bytes());
    }

    /// Writes a string: any bytes.
    pub fn string(&mut self, text: &[u8]) {
        self.out.extend_from_slice(format!("s:{}:\"", text.len()).as_bytes());
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\";");
    }

    /// Writes a string as PHP keeps it as the key of an array: as an integer, if it looks like one. GatewayWorker gives such names as
    /// values too.
    pub fn key(&mut self, name: &[u8]) {
        match canonical_integer(name) {
            Some(number) => self.int(number),
            None => self.string(name),
        }
    }

    /// Writes an array without entries.
    pub fn empty_array(&mut self) {
        self.out.extend_from_slice(b"a:0:{}");
    }

    /// Writes an array with one entry for each item; `write` writes the item's key and then its value.
    pub fn array<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.out.extend_from_slice(format!("a:{}:{{", items.len()).as_bytes());
        items.for_each(|item| write(self, item));
        self.out.push(b'}');
    }

    /// Writes an array with the keys 0, 1, 2, …; `write` writes the value of each item.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.array(items.enumerate(), |writer, (place, item)| {
            writer.int(place as i64);
            write(writer, item);
        });
    }

    /// Writes a value that is serialized already. Its bytes are not checked.
    pub fn serialized(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}
