//! The conversion of a plain value to JSON as PHP's `json_encode($value, JSON_UNESCAPED_UNICODE)` writes it.

use super::{Key, Malformed, PhpValue, count_tokens, is_list};

/// Most tokens of a serialized value that is converted: each takes some 80 bytes of memory meanwhile.
const MAX_TOKENS: usize = 1 << 18;

/// Why there is no JSON of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// The value has more keys and values than are converted.
    #[error("it has more than {} values", MAX_TOKENS / 2)]
    TooMany,
    /// The value is malformed, nested too deep, or holds objects or references.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A string or key is not UTF-8.
    #[error("it holds text that is not UTF-8")]
    NotUtf8,
    /// A float is `INF`, `-INF` or `NAN`.
    #[error("it holds a number that is infinite or none")]
    NotFinite,
}

/// Converts one value, given as `serialize()` writes it, to JSON. A value of over 131,072 keys and values is an error.
pub fn to_json(serialized: &[u8]) -> Result<Vec<u8>, NotJson> {
    if count_tokens(serialized) > MAX_TOKENS {
        return Err(NotJson::TooMany);
    }
    let mut out = Vec::with_capacity(serialized.len());
    write(&PhpValue::parse(serialized)?, &mut out)?;
    Ok(out)
}

/// Appends a value. It recurses as deep as the parser went, which is bounded.
fn write(value: &PhpValue<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    match value {
        PhpValue::Null => out.extend_from_slice(b"null"),
        PhpValue::Bool(is) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
        PhpValue::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        PhpValue::Float(b"INF" | b"-INF" | b"NAN") => return Err(NotJson::NotFinite),
        // PHP writes the same digits in both formats, and the exponent's letter in lower case here.
        PhpValue::Float(text) => out.extend(text.iter().map(u8::to_ascii_lowercase)),
        PhpValue::Str(bytes) => string(bytes, out)?,
        PhpValue::Array(entries) => {
            let is_list = is_list(entries);
            out.push(if is_list { b'[' } else { b'{' });
            for (place, (key, value)) in entries.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                match key {
                    _ if is_list => {}
                    Key::Int(number) => out.extend_from_slice(format!("\"{number}\":").as_bytes()),
                    Key::Str(name) => {
                        string(name, out)?;
                        out.push(b':');
                    }
                }
                write(value, out)?;
            }
            out.push(if is_list { b']' } else { b'}' });
        }
    }
    Ok(())
}

fn string(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NotJson> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotJson::NotUtf8)?;
    out.push(b'"');
    for char in text.chars() {
        match char {
            '"' | '\\' | '/' => out.extend_from_slice(&[b'\\', char as u8]),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // PHP escapes the last two because old JavaScript took them for ends of lines.
            '\0'..'\u{20}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
            }
            _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(serialized: &str) -> String {
        String::from_utf8(to_json(serialized.as_bytes()).unwrap()).unwrap()
    }

    /// PHP gives the expected texts for the same values.
    #[test]
    fn as_php_writes_it() {
        for (serialized, expected) in [
            ("a:0:{}", "[]"),
            ("a:2:{i:0;i:1;i:1;a:1:{s:1:\"a\";N;}}", r#"[1,{"a":null}]"#),
            ("a:1:{i:1;b:1;}", r#"{"1":true}"#),
            ("a:2:{s:4:\"text\";s:7:\"grüß/\";i:-7;b:0;}", "{\"text\":\"grüß\\/\",\"-7\":false}"),
            ("a:4:{i:0;d:0.5;i:1;d:1.0E+25;i:2;d:10;i:3;d:-0;}", "[0.5,1.0e+25,10,-0]"),
            (
                "s:11:\"\u{8}\u{c}\n\r\t\u{1}\u{7f}\"\\\u{a0}\";",
                "\"\\b\\f\\n\\r\\t\\u0001\u{7f}\\\"\\\\\u{a0}\"",
            ),
            ("s:6:\"\u{2028}\u{2029}\";", "\"\\u2028\\u2029\""),
        ] {
            assert_eq!(json(serialized), expected, "{serialized}");
        }
    }

    #[test]
    fn what_json_has_no_words_for() {
        for (serialized, expected) in [
            (&b"a:1:{i:0;s:1:\"\xff\";}"[..], NotJson::NotUtf8),
            (b"a:1:{i:0;d:-INF;}", NotJson::NotFinite),
            (b"O:8:\"stdClass\":0:{}", NotJson::Malformed(Malformed::NotPlain)),
            (b"a:1:{", NotJson::Malformed(Malformed::Truncated)),
        ] {
            assert_eq!(to_json(serialized), Err(expected));
        }
        let of = |count: usize| {
            let entries: String = (0..count).map(|place| format!("i:{place};N;")).collect();
            to_json(format!("a:{count}:{{{entries}}}").as_bytes())
        };
        assert_eq!(of(MAX_TOKENS / 2).unwrap_err(), NotJson::TooMany);
        assert_eq!(of(MAX_TOKENS / 2 - 1).unwrap().len(), 5 * (MAX_TOKENS / 2 - 1) + 1);
    }
}
