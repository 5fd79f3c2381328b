//! Parts of what a gateway answers to a PHP process that a test plays.

use gateway_wire::bridge::AnswerValue;

/// Gives a named field of an answer, or null where there is none.
pub fn field<'v>(value: &'v AnswerValue, name: &str) -> &'v AnswerValue {
    let AnswerValue::Map(fields) = value else { return &AnswerValue::Null };
    let found = fields.iter().find(|(key, _)| *key == AnswerValue::Str(name.as_bytes().to_vec()));
    found.map_or(&AnswerValue::Null, |(_, value)| value)
}

/// Gives the values of a list; none for any other answer.
pub fn list(value: &AnswerValue) -> &[AnswerValue] {
    if let AnswerValue::List(values) = value { values } else { &[] }
}
