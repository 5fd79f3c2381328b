//! The results of operations, written as JSON.

use gateway_wire::ClientId;
use gateway_wire::bridge::AnswerValue as Wire;
use hyper::StatusCode;
use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::session;
use crate::admin::answer::Refusal;
use crate::admin::text::text_of;

/// The form of an operation's result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// The result is null; the operation is done.
    Nothing,
    Flag,
    Count,
    /// A text, or null if there is none.
    Text,
    /// An object, or null for a client that is not online.
    Session,
    /// An object with the fields that the gateway knows, or null for a client that is not online.
    Fields,
    /// A list of objects with the fields that the gateway knows.
    ListOfFields,
    /// An object with what the page of each client has answered, or null.
    Answers,
    Clients,
    Names,
    /// An object with a result for each name that the argument gave.
    OfEach(&'static str, &'static Shape),
    /// An object with a result for each group.
    OfGroups(&'static Shape),
    /// An object with a result for each client id.
    OfClients(&'static Shape),
}

impl Shape {
    pub(super) fn json(&self, value: &Wire, arguments: &Arguments) -> Result<Value, Refusal> {
        Ok(match (self, value) {
            (Self::Nothing, _) | (Self::Text | Self::Session | Self::Fields, Wire::Null) => Value::Null,
            (Self::Flag, Wire::Bool(is)) => (*is).into(),
            (Self::Count, Wire::Int(number)) => (*number).into(),
            // The operation asks for one group, and the query for a list of groups, so the answer is a list of one.
            (Self::Count, Wire::List(one)) => match one.as_slice() {
                [Wire::Int(number)] => (*number).into(),
                _ => return Err(unexpected()),
            },
            (Self::Text, Wire::Str(bytes)) => text(bytes),
            (Self::Session, Wire::Str(bytes)) => session::parse(bytes).ok_or_else(|| {
                let message =
                    "a session holds an object, a reference or no finite number, which only PHP reads";
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "not_plain", message)
            })?,
            (Self::Fields, Wire::Map(_)) | (Self::ListOfFields, Wire::List(_)) => field(value)?,
            (Self::Clients, Wire::List(list)) => {
                list.iter().map(client).collect::<Result<Vec<_>, _>>()?.into()
            }
            (Self::Names, Wire::List(list)) => list.iter().map(name).collect::<Result<Vec<_>, _>>()?.into(),
            (Self::OfEach(argument, shape), Wire::List(list)) => {
                let names = arguments.all(argument).iter().map(|name| text_of(name).into_owned());
                let entries = names.zip(list).map(|(name, value)| Ok((name, shape.json(value, arguments)?)));
                entries.collect::<Result<Map<_, _>, Refusal>>()?.into()
            }
            (Self::Answers, Wire::Map(map)) => entries(map, client, &Self::Text, arguments)?,
            (Self::OfGroups(shape), Wire::Map(map)) => entries(map, name, shape, arguments)?,
            (Self::OfClients(shape), Wire::Map(map)) => entries(map, client, shape, arguments)?,
            _ => return Err(unexpected()),
        })
    }
}

fn entries(
    map: &[(Wire, Wire)],
    name: fn(&Wire) -> Result<String, Refusal>,
    shape: &Shape,
    arguments: &Arguments,
) -> Result<Value, Refusal> {
    let entries = map.iter().map(|(key, value)| Ok((name(key)?, shape.json(value, arguments)?)));
    Ok(entries.collect::<Result<Map<_, _>, Refusal>>()?.into())
}

fn client(value: &Wire) -> Result<String, Refusal> {
    match value {
        Wire::Str(bytes) => {
            let bytes: [u8; ClientId::BYTES] = bytes.as_slice().try_into().map_err(|_| unexpected())?;
            Ok(ClientId::from_bytes(bytes).to_string())
        }
        _ => Err(unexpected()),
    }
}

fn name(value: &Wire) -> Result<String, Refusal> {
    match value {
        Wire::Str(bytes) => Ok(text_of(bytes).into_owned()),
        _ => Err(unexpected()),
    }
}

fn field(value: &Wire) -> Result<Value, Refusal> {
    Ok(match value {
        Wire::Null => Value::Null,
        Wire::Bool(is) => (*is).into(),
        Wire::Int(number) => (*number).into(),
        Wire::Str(bytes) => text(bytes),
        Wire::List(list) => list.iter().map(field).collect::<Result<Vec<_>, _>>()?.into(),
        Wire::Map(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((name(key)?, field(value)?)));
            fields.collect::<Result<Map<_, _>, Refusal>>()?.into()
        }
    })
}

fn text(bytes: &[u8]) -> Value {
    text_of(bytes).into()
}

fn unexpected() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer has another form than it should")
}
