//! Clients, by their client_ids.

use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;
use gateway_wire::ClientId;

use super::argument::Argument;
use super::names::name;
use super::read::{each, text};
use crate::errors::{Failure, type_error};
use crate::worker;

/// A well-formed client_id.
pub(crate) struct Client(pub(crate) ClientId);

impl Argument for Client {
    const TYPE: DataType = DataType::String;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        Ok(Self(ClientId::from_hex(text(value, position, c"string")?.bytes())?))
    }
}

/// A well-formed client_id, or null for the client whose event is being handled.
pub(crate) struct ClientOrCurrent(pub(crate) ClientId);

impl Argument for ClientOrCurrent {
    const TYPE: DataType = DataType::String;
    const NULLABLE: bool = true;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if !value.is_null() {
            return Client::read(value, position).map(|client| Self(client.0));
        }
        worker::current().map(Self).ok_or_else(|| {
            Failure::argument(
                "the client_id is null, which is the client whose event is being handled, and none is; name the client"
                    .to_owned(),
            )
        })
    }
}

/// The client_ids to send to: a list, or an empty value that is no list, for everybody.
pub(crate) struct Only(pub(crate) Option<Vec<ClientId>>);

impl Argument for Only {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            return client_list(value, position).map(|list| Self(Some(list)));
        }
        if value.coerce_to_bool() { Err(type_error(position, c"?array", value)) } else { Ok(Self(None)) }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(None))
    }
}

/// The client_ids to leave out: one, a list, or an empty value for none.
pub(crate) struct Except(pub(crate) Vec<ClientId>);

impl Argument for Except {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            return client_list(value, position).map(Self);
        }
        // The value is empty by PHP's rules; objects never are.
        if !value.is_object() && !value.coerce_to_bool() {
            return Ok(Self(Vec::new()));
        }
        let id = text(value, position, c"array|string|null")?;
        Ok(Self(vec![ClientId::from_hex(id.bytes())?]))
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

fn client_list(value: &Zval, position: u32) -> Result<Vec<ClientId>, Failure> {
    each(value, |entry| match name(entry)? {
        Some(id) => Ok(ClientId::from_hex(id.bytes())?),
        None => Err(type_error(position, c"a list of string", value)),
    })
}
