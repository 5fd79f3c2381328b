//! JSON to what PHP's `serialize()` gives for the same array.

use serde_json::{Map, Value};

use crate::php_serialize::Writer;

pub(super) fn serialize(session: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut Writer::new(&mut out), session);
    out
}

fn object(writer: &mut Writer<'_>, items: &Map<String, Value>) {
    writer.array(items.iter(), |writer, (key, item)| {
        writer.key(key.as_bytes());
        value(writer, item);
    });
}

/// As deep as the JSON, which its parser bounds.
fn value(writer: &mut Writer<'_>, item: &Value) {
    match item {
        Value::Null => writer.null(),
        Value::Bool(truth) => writer.serialized(if *truth { b"b:1;" } else { b"b:0;" }),
        Value::Number(number) => match number.as_i64() {
            Some(number) => writer.int(number),
            None => writer.serialized(format!("d:{number};").as_bytes()),
        },
        Value::String(text) => writer.string(text.as_bytes()),
        Value::Array(items) => writer.list(items.iter(), value),
        Value::Object(items) => object(writer, items),
    }
}
