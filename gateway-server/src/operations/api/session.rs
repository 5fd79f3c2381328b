//! Sessions are PHP's arrays, and here JSON.

use gateway_wire::php_serialize::{self, Key, Writer};
use serde_json::{Map, Number, Value};

use crate::operations::text::text_of;

/// What PHP's `serialize()` gives for the same array. JSON's own depth is bounded by its parser.
pub(super) fn serialize(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Writer::new(&mut bytes), value);
    bytes
}

fn write(writer: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Null => writer.null(),
        Value::Bool(is) => writer.serialized(if *is { b"b:1;" } else { b"b:0;" }),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => writer.int(number),
            (None, float) => writer.serialized(format!("d:{:?};", float.unwrap_or_default()).as_bytes()),
        },
        Value::String(text) => writer.string(text.as_bytes()),
        Value::Array(list) => writer.list(list.iter(), write),
        Value::Object(map) => writer.array(map.iter(), |writer, (key, value)| {
            writer.key(key.as_bytes());
            write(writer, value);
        }),
    }
}

/// `None` for what JSON has no words for.
pub(super) fn parse(serialized: &[u8]) -> Option<Value> {
    // A client that was never given one has an empty one.
    if serialized.is_empty() {
        return Some(Value::Object(Map::new()));
    }
    match php_serialize::Value::parse(serialized).ok()? {
        // An empty one is an object, too, though PHP sees no difference to a list.
        php_serialize::Value::Array(entries) if entries.is_empty() => Some(Value::Object(Map::new())),
        value => json(&value),
    }
}

fn json(value: &php_serialize::Value<'_>) -> Option<Value> {
    use php_serialize::Value as Php;
    Some(match value {
        Php::Null => Value::Null,
        Php::Bool(is) => (*is).into(),
        Php::Int(number) => (*number).into(),
        // JSON knows no infinity.
        Php::Float(text) => Number::from_f64(std::str::from_utf8(text).ok()?.parse().ok()?)?.into(),
        Php::Str(bytes) => text_of(bytes).into(),
        Php::Array(entries) => {
            if php_serialize::is_list(entries) {
                return entries.iter().map(|(_, value)| json(value)).collect();
            }
            let name = |key: &Key<'_>| match key {
                Key::Int(number) => number.to_string(),
                Key::Str(bytes) => text_of(bytes).into_owned(),
            };
            let entries = entries.iter().map(|(key, value)| Some((name(key), json(value)?)));
            entries.collect::<Option<Map<_, _>>>()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_and_back() {
        let session = json!({"name": "ä", "7": null, "list": [1, -2, "x"], "is": {"a": true, "b": false}, "f": [0.5, -1e300]});
        let serialized = serialize(&session);
        php_serialize::check_array(&serialized).unwrap();
        assert_eq!(parse(&serialized), Some(session));
        assert_eq!(parse(b""), Some(json!({})));
        assert_eq!(parse(b"a:0:{}"), Some(json!({})));
        assert_eq!(
            serialize(&json!({"f": 1e3, "n": 18446744073709551615u64})),
            b"a:2:{s:1:\"f\";d:1000.0;s:1:\"n\";d:1.8446744073709552e19;}"
        );
        php_serialize::check_array(&serialize(&json!({"f": 1e300}))).unwrap();
    }

    #[test]
    fn what_json_does_not_know_is_not_said() {
        assert_eq!(parse(br#"a:1:{s:1:"o";O:8:"stdClass":0:{}}"#), None);
        assert_eq!(parse(b"a:1:{i:0;d:INF;}"), None);
    }
}
