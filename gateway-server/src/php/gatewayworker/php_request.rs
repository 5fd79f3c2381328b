//! PHP's reading of a query string and of cookies.

use gateway_wire::php_serialize::Writer;
use indexmap::IndexMap;

/// Number of variables that are read; this is PHP's default `max_input_vars`.
const MAX_VARIABLES: usize = 1000;
/// Number of brackets that may follow a name; this is PHP's default `max_input_nesting_level`.
const MAX_NESTING: usize = 64;

/// A variable's value: a text or an array of further values.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Text(Vec<u8>),
    Array(IndexMap<Vec<u8>, Tree>),
}

/// Reads a query as PHP's `parse_str()` does: `a=1&b[]=2&b[x]=3`.
pub(super) fn query(text: &[u8]) -> Tree {
    let mut tree = Tree::empty();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(MAX_VARIABLES) {
        let (name, value) = cut(pair, b'=').unwrap_or((pair, b""));
        if let Some(path) = path(&decoded(name)) {
            tree.insert(path, decoded(value));
        }
    }
    tree
}

/// Reads cookies as Workerman does: `a=1; b=2`, nothing decoded.
pub(super) fn cookies(text: &[u8]) -> Tree {
    let pairs = text.split(|byte| *byte == b';').take(MAX_VARIABLES).filter_map(|pair| cut(pair, b'='));
    let cookie = |(name, value): (&[u8], &[u8])| (name.trim_ascii().to_vec(), Tree::Text(value.to_vec()));
    Tree::Array(pairs.map(cookie).collect())
}

impl Tree {
    fn empty() -> Self {
        Self::Array(IndexMap::new())
    }

    /// Sets the value at a path of keys. A `None` in the path stands for the array's next free number.
    fn insert(&mut self, path: Vec<Option<Vec<u8>>>, value: Vec<u8>) {
        let mut slot = self;
        for key in path {
            if let Self::Text(_) = slot {
                *slot = Self::empty();
            }
            let Self::Array(entries) = slot else { return };
            let key = key.unwrap_or_else(|| next_number(entries));
            slot = entries.entry(key).or_insert_with(Self::empty);
        }
        *slot = Self::Text(value);
    }

    /// Writes the value in PHP's `serialize()` form. The recursion is no deeper than [`MAX_NESTING`].
    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Text(text) => writer.string(text),
            Self::Array(entries) => writer.array(entries.iter(), |writer, (key, value)| {
                writer.key(key);
                value.write(writer);
            }),
        }
    }
}

/// Splits a name into keys: `a.b[c][]` gives `a_b`, `c` and `None` for the next free number. Gives `None` for a name that PHP
/// ignores.
fn path(name: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let name = name.trim_ascii_start();
    let end = name.iter().position(|byte| *byte == b'[').unwrap_or(name.len());
    let (first, mut rest) = name.split_at(end);
    let mut first: Vec<u8> =
        first.iter().map(|byte| if matches!(byte, b' ' | b'.') { b'_' } else { *byte }).collect();
    if first.is_empty() {
        return None;
    }
    let mut path = Vec::new();
    while let [b'[', inner @ ..] = rest {
        let Some((key, behind)) = cut(inner, b']') else {
            // A bracket that is not closed belongs to the name when it is the first one; PHP ignores a later one.
            if path.is_empty() {
                first.push(b'_');
                first.extend_from_slice(inner);
            }
            break;
        };
        if path.len() == MAX_NESTING {
            return None;
        }
        path.push((!matches!(key, b"" | b" ")).then(|| key.to_vec()));
        rest = behind;
    }
    path.insert(0, Some(first));
    Some(path)
}

fn next_number(entries: &IndexMap<Vec<u8>, Tree>) -> Vec<u8> {
    let numbers = entries.keys().filter_map(|key| std::str::from_utf8(key).ok()?.parse::<i64>().ok());
    numbers.max().map_or(0, |number| number.saturating_add(1).max(0)).to_string().into_bytes()
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let slot = text.iter().position(|byte| *byte == at)?;
    Some((&text[..slot], &text[slot + 1..]))
}

/// Decodes as PHP's `urldecode()` does.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match (byte, behind) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (other, _) => out.push(*other),
        }
    }
    out
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serialized(tree: &Tree) -> String {
        let mut bytes = Vec::new();
        tree.write(&mut Writer::new(&mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    /// Each result is what PHP 8.2 gave for `parse_str($text, $a); echo serialize($a);`.
    #[test]
    fn queries_are_read_as_php_reads_them() {
        for (text, expected) in [
            ("", "a:0:{}"),
            ("a=1&a=2&b", r#"a:2:{s:1:"a";s:1:"2";s:1:"b";s:0:"";}"#),
            ("&&a=b=c&", r#"a:1:{s:1:"a";s:3:"b=c";}"#),
            ("a+b.c=%41+%zz%4", r#"a:1:{s:5:"a_b_c";s:7:"A %zz%4";}"#),
            (
                "a[]=1&a[]=2&a[5]=3&a[]=4",
                r#"a:1:{s:1:"a";a:4:{i:0;s:1:"1";i:1;s:1:"2";i:5;s:1:"3";i:6;s:1:"4";}}"#,
            ),
            ("a[x][y]=1&a[x][]=2", r#"a:1:{s:1:"a";a:1:{s:1:"x";a:2:{s:1:"y";s:1:"1";i:0;s:1:"2";}}}"#),
            ("a=1&a[x]=2", r#"a:1:{s:1:"a";a:1:{s:1:"x";s:1:"2";}}"#),
            ("a[b=1", r#"a:1:{s:3:"a_b";s:1:"1";}"#),
            ("[a]=1&=2", "a:0:{}"),
            ("5=x&05=y", r#"a:2:{i:5;s:1:"x";s:2:"05";s:1:"y";}"#),
            ("a[ ]=1", r#"a:1:{s:1:"a";a:1:{i:0;s:1:"1";}}"#),
            ("a[b]c=1", r#"a:1:{s:1:"a";a:1:{s:1:"b";s:1:"1";}}"#),
        ] {
            assert_eq!(serialized(&query(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn cookies_are_read_as_workerman_reads_them() {
        let cookies = cookies(b"a=1; b=%20x=y;c; =d");
        assert_eq!(serialized(&cookies), r#"a:3:{s:1:"a";s:1:"1";s:1:"b";s:6:"%20x=y";s:0:"";s:1:"d";}"#);
    }

    #[test]
    fn nesting_and_number_are_bounded() {
        let deep = format!("a{}=1", "[x]".repeat(5000));
        assert_eq!(query(deep.as_bytes()), Tree::empty());
        let many = (0..5000).map(|i| format!("v{i}=1&")).collect::<String>();
        assert!(matches!(query(many.as_bytes()), Tree::Array(entries) if entries.len() == MAX_VARIABLES));
    }
}
