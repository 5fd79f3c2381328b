//! The conversion of JSON to the bytes of PHP's `serialize(json_decode($json, true))`.

use serde_json::{Map, Number, Value};

use crate::php_serialize::Writer;

/// Converts a value to the bytes of PHP's `serialize(json_decode($json, true))`. It recurses as deep as the JSON is nested, which the
/// parser of JSON bounds.
pub fn json_to_php(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out), value);
    out
}

/// Converts an object, as [`json_to_php`] does: it becomes an array with its names as keys.
pub fn json_object_to_php(object: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    write_object(&mut Writer::new(&mut out), object);
    out
}

fn write(writer: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Null => writer.null(),
        Value::Bool(is) => writer.serialized(if *is { b"b:1;" } else { b"b:0;" }),
        Value::Number(number) => write_number(writer, number),
        Value::String(text) => writer.string(text.as_bytes()),
        Value::Array(list) => writer.list(list.iter(), write),
        Value::Object(object) => write_object(writer, object),
    }
}

fn write_object(writer: &mut Writer<'_>, object: &Map<String, Value>) {
    writer.array(object.iter(), |writer, (key, value)| {
        writer.key(key.as_bytes());
        write(writer, value);
    });
}

/// Writes a number. As in PHP, an integer that does not fit 64 signed bits becomes a float.
fn write_number(writer: &mut Writer<'_>, number: &Number) {
    match number.as_i64() {
        Some(number) => writer.int(number),
        None => writer.serialized(format!("d:{};", float(number.as_f64().unwrap_or_default())).as_bytes()),
    }
}

/// Formats a float as PHP does with `serialize_precision = -1`, its default: in the fewest digits that lead back to the number, and with an
/// exponent if there would be more than 17 digits before the point or more than 3 zeros behind it.
fn float(number: f64) -> String {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..17).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{exponent:+}");
    }
    match usize::try_from(exponent + 1) {
        Ok(before @ 1..) if before < digits.len() => {
            let (whole, fraction) = digits.split_at(before);
            format!("{sign}{whole}.{fraction}")
        }
        Ok(before @ 1..) => format!("{sign}{digits}{}", "0".repeat(before - digits.len())),
        _ => format!("{sign}0.{}{digits}", "0".repeat((-1 - exponent) as usize)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// PHP 8.2 gives the expected digits for `serialize($number)`.
    #[test]
    fn floats_as_php_writes_them() {
        for (number, expected) in [
            (0.5, "0.5"),
            (1000.0, "1000"),
            (1e14, "100000000000000"),
            (1e16, "10000000000000000"),
            (1e17, "1.0E+17"),
            (1234567890123456.0, "1234567890123456"),
            (12345678901234567.0, "12345678901234568"),
            (1.8446744073709552e19, "1.8446744073709552E+19"),
            (1e300, "1.0E+300"),
            (-1e-5, "-1.0E-5"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (-0.0, "-0"),
            (1e-300, "1.0E-300"),
            (12.75, "12.75"),
        ] {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn values_of_every_kind() {
        let value =
            json!({"a": [null, true, false, -7, "ä"], "7": {}, "f": 1e3, "n": 18446744073709551615u64});
        let expected = "a:4:{s:1:\"a\";a:5:{i:0;N;i:1;b:1;i:2;b:0;i:3;i:-7;i:4;s:2:\"ä\";}i:7;a:0:{}\
                        s:1:\"f\";d:1000;s:1:\"n\";d:1.8446744073709552E+19;}";
        assert_eq!(String::from_utf8(json_to_php(&value)).unwrap(), expected);
        assert_eq!(json_to_php(&json!(["x"])), b"a:1:{i:0;s:1:\"x\";}");
        let Value::Object(object) = json!({"x": 1}) else { panic!() };
        assert_eq!(json_object_to_php(&object), b"a:1:{s:1:\"x\";i:1;}");
    }
}
