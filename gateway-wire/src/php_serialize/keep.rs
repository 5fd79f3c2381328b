//! A rewriting that keeps objects of classes that a program has not allowed, while PHP reads a document and writes it again.
//!
//! With `allowed_classes`, PHP reads an object `O:` of another class as a bag of properties, and writes the object again from it. It
//! loses an object whose class has a format of its own (`C:`), and looks up the class of an enum case (`E:`) whether it is allowed or
//! not. Both are rewritten here before PHP sees them: as an object without properties, of a class that nobody has and whose name
//! holds the original bytes. Such an object takes one place in PHP's numbering of references, as the original does.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The mark in a made-up class name. Before it stands the name of the original class, behind it the original bytes in hexadecimal digits.
const MARK: &[u8] = b"__kept_by_gateway_";

/// A document that PHP may read, from [`keep`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The document. It is borrowed if nothing had to be rewritten.
    pub bytes: Cow<'a, [u8]>,
    /// The first class in it that is not allowed, for a warning.
    pub refused: Option<&'a [u8]>,
}

/// Rewrites the objects that PHP would lose, of the classes that `is_allowed` refuses. The result ends before the first byte that is not
/// understood, so that PHP never reads bytes that were not looked at; PHP itself refuses a document that is cut off.
pub fn keep<'a>(bytes: &'a [u8], is_allowed: impl Fn(&[u8]) -> bool) -> Kept<'a> {
    let mut kept = Kept { bytes: Cow::Borrowed(bytes), refused: None };
    let (mut at, mut copied) = (0, 0);
    let mut rewritten = Vec::new();
    while at < bytes.len() {
        let Some(token) = Token::read(&bytes[at..]) else { break };
        if let Some(class) = token.class()
            && !is_allowed(class)
        {
            kept.refused.get_or_insert(class);
            if !matches!(token.kind, Kind::Object(_)) {
                rewritten.extend_from_slice(&bytes[copied..at]);
                rewrite(class, &bytes[at..at + token.length], &mut rewritten);
                copied = at + token.length;
            }
        }
        at += token.length;
    }
    if copied > 0 {
        rewritten.extend_from_slice(&bytes[copied..at]);
        kept.bytes = Cow::Owned(rewritten);
    } else {
        kept.bytes = Cow::Borrowed(&bytes[..at]);
    }
    kept
}

/// Puts back what [`keep`] rewrote into a document that PHP has written. A document without such objects is borrowed.
pub fn restore(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.windows(MARK.len()).any(|window| window == MARK) {
        return Cow::Borrowed(bytes);
    }
    let (mut at, mut copied) = (0, 0);
    let mut restored = Vec::new();
    while let Some(token) = Token::read(&bytes[at..]) {
        let end = at + token.length;
        if let Kind::Object(class) = token.kind
            && let Some(original) = original(class)
            // The object has no properties.
            && bytes[..end].ends_with(b":0:{")
            && bytes.get(end) == Some(&b'}')
        {
            restored.extend_from_slice(&bytes[copied..at]);
            restored.extend_from_slice(&original);
            copied = end + 1;
        }
        at = end;
    }
    restored.extend_from_slice(&bytes[copied..]);
    Cow::Owned(restored)
}

/// Counts the values, keys and ends of arrays and objects in `bytes`, up to the first byte that is not understood. It takes no memory
/// itself; each token takes some once the document is read.
pub fn count_tokens(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(token) = Token::read(&bytes[at..]) {
        at += token.length;
        count += 1;
    }
    count
}

/// Appends the object that stands for `token`, a value of `class`.
fn rewrite(class: &[u8], token: &[u8], out: &mut Vec<u8>) {
    let length = class.len() + MARK.len() + 2 * token.len();
    out.extend_from_slice(format!("O:{length}:\"").as_bytes());
    out.extend_from_slice(class);
    out.extend_from_slice(MARK);
    let mut digits = String::with_capacity(2 * token.len());
    for byte in token {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(b"\":0:{}");
}

/// Decodes the bytes behind the mark in a class name. It gives `None` unless they are one whole value of a kind that is kept.
fn original(class: &[u8]) -> Option<Vec<u8>> {
    let mark = class.windows(MARK.len()).rposition(|window| window == MARK)?;
    let digits = std::str::from_utf8(&class[mark + MARK.len()..]).ok()?;
    let digit = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let original: Vec<u8> = (0..digits.len()).step_by(2).map(digit).collect::<Option<_>>()?;
    let token = Token::read(&original)?;
    let is_whole = token.length == original.len() && matches!(token.kind, Kind::Custom(_) | Kind::Case(_));
    is_whole.then_some(original)
}

/// A piece of a document: a value without children, the head of an array or object, or the brace that ends one.
struct Token<'a> {
    kind: Kind<'a>,
    length: usize,
}

enum Kind<'a> {
    /// The head of an object `O:` as far as its opening brace, with the name of its class.
    Object(&'a [u8]),
    /// A whole object `C:`, with the name of its class.
    Custom(&'a [u8]),
    /// A whole enum case `E:`, with the name of the enum.
    Case(&'a [u8]),
    /// Any other token, which names no class.
    Other,
}

impl<'a> Token<'a> {
    /// Reads the token at the start of `bytes`. It gives `None` at their end, and for bytes that it does not understand.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let token = |kind, length| Some(Self { kind, length });
        match bytes {
            [b'}', ..] => token(Kind::Other, 1),
            [b'N', b';', ..] => token(Kind::Other, 2),
            [b'b' | b'i' | b'd' | b'r' | b'R', b':', rest @ ..] => {
                /// Longest number with its semicolon, in bytes.
                const LONGEST: usize = 64;
                let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
                token(Kind::Other, 2 + end + 1)
            }
            [b's', b':', rest @ ..] => {
                let (_, end) = string(rest)?;
                (rest.get(end) == Some(&b';')).then_some(Self { kind: Kind::Other, length: 2 + end + 1 })
            }
            [b'a', b':', rest @ ..] => {
                let (_, end) = number(rest)?;
                (rest.get(end) == Some(&b'{')).then_some(Self { kind: Kind::Other, length: 2 + end + 1 })
            }
            [b'E', b':', rest @ ..] => {
                let (case, end) = string(rest)?;
                let class = case.split(|byte| *byte == b':').next()?;
                (rest.get(end) == Some(&b';'))
                    .then_some(Self { kind: Kind::Case(class), length: 2 + end + 1 })
            }
            [kind @ (b'O' | b'C'), b':', rest @ ..] => {
                let (class, end) = string(rest)?;
                let rest = rest[end..].strip_prefix(b":")?;
                let (count, open) = number(rest)?;
                let body = rest[open..].strip_prefix(b"{")?;
                let head = 2 + end + 1 + open + 1;
                if *kind == b'O' {
                    return token(Kind::Object(class), head);
                }
                (body.get(count) == Some(&b'}'))
                    .then_some(Self { kind: Kind::Custom(class), length: head + count + 1 })
            }
            _ => None,
        }
    }

    fn class(&self) -> Option<&'a [u8]> {
        match self.kind {
            Kind::Object(class) | Kind::Custom(class) | Kind::Case(class) => Some(class),
            Kind::Other => None,
        }
    }
}

/// Reads a string `LENGTH:"…"`, and gives the position behind it too.
fn string(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, start) = number(bytes)?;
    let rest = bytes[start..].strip_prefix(b"\"")?;
    (rest.get(length) == Some(&b'"')).then(|| (&rest[..length], start + 1 + length + 1))
}

/// Reads digits and a colon, and gives the position behind the colon too.
fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    /// Longest length with its colon, in bytes. No memory holds as many bytes as a number of more than 19 digits says.
    const LONGEST: usize = 20;
    let end = bytes.iter().take(LONGEST).position(|byte| *byte == b':')?;
    let digits = std::str::from_utf8(&bytes[..end]).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| is_number)?, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<'a>(text: &'a str, allowed: &[&str]) -> (String, Option<&'a str>) {
        let kept = keep(text.as_bytes(), |class| allowed.iter().any(|allowed| allowed.as_bytes() == class));
        let refused = kept.refused.map(|class| std::str::from_utf8(class).unwrap());
        (String::from_utf8(kept.bytes.into_owned()).unwrap(), refused)
    }

    const NOTHING: &str =
        r#"a:6:{i:0;i:-5;s:1:"a";d:0.5;i:1;b:1;i:2;N;s:3:"b":";s:6:"O:1:"x";i:3;a:1:{i:0;R:2;}}"#;
    const OBJECT: &str = r#"a:2:{i:0;O:3:"Foo":1:{s:1:"p";O:3:"Bar":0:{}}i:1;r:2;}"#;
    const CUSTOM: &str = r#"a:2:{i:0;C:3:"Foo":10:{E:1:"x";}}}i:1;r:2;}"#;
    const CASE: &str = r#"a:1:{i:0;a:1:{s:1:"e";E:11:"Suit:Hearts";}}"#;

    #[test]
    fn what_php_keeps_is_left_to_it() {
        assert_eq!(kept(NOTHING, &[]), (NOTHING.to_owned(), None));
        assert_eq!(kept(OBJECT, &[]), (OBJECT.to_owned(), Some("Foo")));
        assert_eq!(kept(OBJECT, &["Foo"]), (OBJECT.to_owned(), Some("Bar")));
        for allowed in [OBJECT, CUSTOM, CASE] {
            assert_eq!(kept(allowed, &["Foo", "Bar", "Suit"]), (allowed.to_owned(), None));
        }
    }

    #[test]
    fn what_it_does_not_keep_comes_back() {
        for (text, class) in [(CUSTOM, "Foo"), (CASE, "Suit")] {
            let (rewritten, refused) = kept(text, &[]);
            assert_eq!(refused, Some(class));
            assert!(!rewritten.contains("C:3") && !rewritten.contains("E:11"), "{rewritten}");
            // The result is well-formed, and each object has one place among the references still.
            super::super::check_array(rewritten.as_bytes()).unwrap();
            assert_eq!(restore(rewritten.as_bytes()), text.as_bytes());
            // A document that is rewritten again, without having been restored, stays as it is.
            assert_eq!(kept(&rewritten, &[]).0, rewritten);
        }
        assert_eq!(restore(NOTHING.as_bytes()), NOTHING.as_bytes());
    }

    #[test]
    fn only_what_was_kept_is_put_back() {
        let object = |name: &str, rest: &str| format!("O:{}:\"{name}\"{rest}", name.len());
        let mark = "__kept_by_gateway_";
        for (name, rest) in [
            // The names end in no digits, wrong ones, an odd number of them, no value, half a value, two values, a value of another
            // kind; the last object has a property.
            (format!("Foo{mark}"), ":0:{}"),
            (format!("Foo{mark}zz"), ":0:{}"),
            (format!("Foo{mark}4"), ":0:{}"),
            (format!("Foo{mark}00"), ":0:{}"),
            (format!("Foo{mark}453a"), ":0:{}"),
            (format!("Foo{mark}{}", hex(b"E:3:\"A:B\";N;")), ":0:{}"),
            (format!("Foo{mark}{}", hex(b"a:0:{")), ":0:{}"),
            (format!("Foo{mark}{}", hex(b"E:3:\"A:B\";")), ":1:{i:0;N;}"),
        ] {
            let text = object(&name, rest);
            assert_eq!(restore(text.as_bytes()), text.as_bytes());
        }
        // A string that looks like such an object is a string.
        let text = format!("s:{}:\"{}\";", 60, object(&format!("F{mark}{}", hex(b"E:3:\"A:B\";")), ":0:{}"));
        assert_eq!(restore(text.as_bytes()), text.as_bytes());
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn tokens_are_counted() {
        assert_eq!(count_tokens(NOTHING.as_bytes()), 1 + 2 * 6 + 1 + 2 + 1);
        assert_eq!(count_tokens(CUSTOM.as_bytes()), 6);
        assert_eq!(count_tokens(b""), 0);
    }

    #[test]
    fn what_is_not_understood_is_not_passed_on() {
        for (text, read) in [
            (r#"a:2:{i:0;N;i:1;S:1:"\41";}"#, "a:2:{i:0;N;i:1;"),
            (r#"a:1:{i:0;o:3:"Foo":0:{}}"#, "a:1:{i:0;"),
            (r#"a:1:{i:0;E:999:"Suit:Hearts";}"#, "a:1:{i:0;"),
            (r#"C:3:"Foo":99999999999999999999999:{"#, ""),
            ("s:+3:\"abc\";", ""),
        ] {
            assert_eq!(kept(text, &[]).0, read);
        }
        for text in [NOTHING, OBJECT, CUSTOM, CASE] {
            for end in 0..text.len() {
                assert!(kept(&text[..end], &["Foo", "Bar", "Suit"]).0.len() <= end);
            }
        }
    }
}
