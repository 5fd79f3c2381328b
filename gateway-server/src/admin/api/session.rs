//! The conversion of sessions, which are PHP arrays, to JSON.

use gateway_wire::php_serialize::{self, Key};
use serde_json::{Map, Number, Value};

use crate::admin::text::text_of;

/// Converts a serialized session. Gives `None` if it has a value that JSON cannot express.
pub(super) fn parse(serialized: &[u8]) -> Option<Value> {
    // The session of a client that was never given one is empty.
    if serialized.is_empty() {
        return Some(Value::Object(Map::new()));
    }
    match php_serialize::PhpValue::parse(serialized).ok()? {
        // An empty array becomes an object, though PHP does not tell it from an empty list.
        php_serialize::PhpValue::Array(entries) if entries.is_empty() => Some(Value::Object(Map::new())),
        value => json(&value),
    }
}

fn json(value: &php_serialize::PhpValue<'_>) -> Option<Value> {
    use php_serialize::PhpValue as Php;
    Some(match value {
        Php::Null => Value::Null,
        Php::Bool(is) => (*is).into(),
        Php::Int(number) => (*number).into(),
        // JSON has no infinity, and no number that is not a number.
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
    use gateway_wire::json_to_php;
    use serde_json::json;

    use super::*;

    #[test]
    fn there_and_back() {
        let session = json!({"name": "ä", "7": null, "list": [1, -2, "x"], "is": {"a": true, "b": false}, "f": [0.5, -1e300]});
        let serialized = json_to_php(&session);
        php_serialize::check_array(&serialized).unwrap();
        assert_eq!(parse(&serialized), Some(session));
        assert_eq!(parse(b""), Some(json!({})));
        assert_eq!(parse(b"a:0:{}"), Some(json!({})));
        let floats = json_to_php(&json!({"f": 1e300, "g": 1e3, "h": 1e-9}));
        php_serialize::check_array(&floats).unwrap();
        assert_eq!(parse(&floats), Some(json!({"f": 1e300, "g": 1e3, "h": 1e-9})));
    }

    #[test]
    fn what_json_does_not_know_is_not_said() {
        assert_eq!(parse(br#"a:1:{s:1:"o";O:8:"stdClass":0:{}}"#), None);
        assert_eq!(parse(b"a:1:{i:0;d:INF;}"), None);
    }
}
