//! Arguments as PHP passes them, read by PHP's own rules: a string parameter takes what any string parameter of PHP
//! takes, under strict_types too.
//!
//! Reading an argument may run code of the program, which may change every variable that the arguments came from. So an
//! argument holds what it is made of, and borrows nothing from PHP: see [`crate::held`].

use std::ffi::CStr;
use std::ptr;

use std::time::Duration;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use gateway_wire::ClientId;
use gateway_wire::bridge::{self as wire, MAX_NAME, PhpStr};
use gateway_wire::php_serialize;
use serde_bytes::Bytes;
use serde_json::{Map, Value};

use crate::errors::{Failure, type_error, warn};
use crate::held::{HeldString, elements, hold, unless_thrown};
use crate::{json, serialize, skipped, sys, worker};

/// Something that a method takes.
pub(crate) trait Argument: Sized {
    /// For reflection.
    const TYPE: DataType;
    const NULLABLE: bool = false;

    /// `position` counts from 1. The value is the frame's own, which code of the program cannot reach, or what a reference
    /// there leads to, which it can.
    fn read(value: &Zval, position: u32) -> Result<Self, Failure>;

    /// What it is when it was left out; `None` when it cannot be.
    fn left_out() -> Option<Self> {
        None
    }
}

/// A string: any bytes.
pub(crate) struct Text(HeldString);

impl Text {
    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(self.0.bytes())
    }
}

impl Argument for Text {
    const TYPE: DataType = DataType::String;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        text(value, position, c"string").map(Self)
    }
}

/// What is sent: any scalar as the string that it is, under strict_types too, null as the word and an array as the JSON that
/// GatewayWorker sends.
pub(crate) struct Message(HeldString);

impl Message {
    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(self.0.bytes())
    }
}

impl Argument for Message {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            return Ok(Self(ZendStr::new("null", false).into()));
        }
        message(value, position, c"string").map(Self)
    }
}

/// Null is no message.
impl Argument for Option<Message> {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            Ok(None)
        } else {
            message(value, position, c"?string").map(|text| Some(Message(text)))
        }
    }

    fn left_out() -> Option<Self> {
        Some(None)
    }
}

fn message(value: &Zval, position: u32, expected: &CStr) -> Result<HeldString, Failure> {
    if let Some(string) = HeldString::of(value) {
        return Ok(string);
    }
    if value.is_long() || value.is_double() || value.is_bool() {
        string(value)
    } else if value.dereference().is_array() {
        array_as_json(value)
    } else {
        text(value, position, expected)
    }
}

/// As a gateway of GatewayWorker makes it of what `serialize()` gives.
fn array_as_json(value: &Zval) -> Result<HeldString, Failure> {
    let held = hold(value);
    let serialized = serialize::write(&held)?;
    // Objects in it may have said what they are, and an object's last user may be this array.
    drop(held);
    let json = php_serialize::to_json(serialized.wire()).map_err(|why| {
        Failure::Exception(format!("the message is an array of which no JSON is made: {why}; encode it"))
    })?;
    unless_thrown(ZendStr::new(&*json, false).into())
}

/// Whether the bytes are sent as they are: what PHP takes for true, under strict_types too.
pub(crate) struct Raw(pub(crate) bool);

impl Argument for Raw {
    const TYPE: DataType = DataType::Bool;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() || value.is_bool() || value.is_long() || value.is_double() || value.is_string() {
            return Ok(Self(value.coerce_to_bool()));
        }
        Err(type_error(position, c"bool", value))
    }

    fn left_out() -> Option<Self> {
        Some(Self(false))
    }
}

/// A bool, false when left out.
pub(crate) struct Flag(pub(crate) bool);

impl Argument for Flag {
    const TYPE: DataType = DataType::Bool;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if let Some(flag) = value.bool() {
            return Ok(Self(flag));
        }
        let (mut held, mut flag) = (hold(value), false);
        // SAFETY: a live value that nobody else has, and where the result goes.
        let converted = unsafe { sys::zend_parse_arg_bool_slow(&raw mut held, &raw mut flag, position) };
        if converted { unless_thrown(Self(flag)) } else { Err(type_error(position, c"bool", value)) }
    }

    fn left_out() -> Option<Self> {
        Some(Self(false))
    }
}

/// A string that comes from a page; whatever else came is none.
pub(crate) struct Posted(pub(crate) Option<HeldString>);

impl Argument for Posted {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, _: u32) -> Result<Self, Failure> {
        Ok(Self(HeldString::of(value)))
    }
}

/// A client_id of good form.
pub(crate) struct Client(pub(crate) ClientId);

impl Argument for Client {
    const TYPE: DataType = DataType::String;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        Ok(Self(ClientId::from_hex(text(value, position, c"string")?.bytes())?))
    }
}

/// A client_id of good form, or null for the client whose event is being handled.
pub(crate) struct ClientOrCurrent(pub(crate) ClientId);

impl Argument for ClientOrCurrent {
    const TYPE: DataType = DataType::String;
    const NULLABLE: bool = true;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if !value.is_null() {
            return Client::read(value, position).map(|client| Self(client.0));
        }
        worker::current().map(Self).ok_or_else(|| {
            Failure::Exception(
                "the client_id is null, which is the client whose event is being handled, and none is; name the client"
                    .to_owned(),
            )
        })
    }
}

/// The client_ids to send to: a list, or anything empty but a list for everybody.
pub(crate) struct Only(pub(crate) Option<Vec<ClientId>>);

impl Argument for Only {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            return client_list(value, position).map(|list| Self(Some(list)));
        }
        if value.coerce_to_bool() { Err(type_error(position, c"?array", value)) } else { Ok(Self(None)) }
    }

    fn left_out() -> Option<Self> {
        Some(Self(None))
    }
}

/// The client_ids to leave out: one, a list, or anything empty for none.
pub(crate) struct Except(pub(crate) Vec<ClientId>);

impl Argument for Except {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            return client_list(value, position).map(Self);
        }
        // Empty by PHP's rules, which objects never are.
        if !value.is_object() && !value.coerce_to_bool() {
            return Ok(Self(Vec::new()));
        }
        let id = text(value, position, c"array|string|null")?;
        Ok(Self(vec![ClientId::from_hex(id.bytes())?]))
    }

    fn left_out() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

/// The groups whose members are left out: one, a list, or anything empty for none.
pub(crate) struct ExceptGroups(Vec<Name>);

impl Argument for ExceptGroups {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        let mut groups = match Names::read(value, position)? {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        };
        groups.retain(|group| !group.is_empty());
        Ok(Self(groups))
    }

    fn left_out() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

impl ExceptGroups {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn wire(&self) -> Vec<PhpStr<'_>> {
        self.0.iter().map(Name::wire).collect()
    }
}

/// Whether websocket clients get the message as binary; null is as the server is set.
pub(crate) struct Binary(Option<bool>);

impl Argument for Binary {
    const TYPE: DataType = DataType::Bool;
    const NULLABLE: bool = true;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            Ok(Self(None))
        } else {
            Raw::read(value, position).map(|binary| Self(Some(binary.0)))
        }
    }

    fn left_out() -> Option<Self> {
        Some(Self(None))
    }
}

impl Binary {
    pub(crate) fn kind(&self) -> u8 {
        match self.0 {
            None => wire::kind::USUAL,
            Some(false) => wire::kind::TEXT,
            Some(true) => wire::kind::BINARY,
        }
    }
}

/// One uid or group: any scalar, kept as a string.
pub(crate) enum Name {
    Held(HeldString),
    /// Made of a number, or empty.
    Made(Vec<u8>),
}

/// What a name is the name of, for messages.
#[derive(Clone, Copy)]
pub(crate) enum Naming {
    Uid,
    Group,
}

impl Naming {
    fn word(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Group => "group",
        }
    }
}

impl Argument for Name {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.array().is_some_and(ZendHashTable::is_empty) {
            return Ok(Self::Made(Vec::new()));
        }
        name(value)?.ok_or_else(|| type_error(position, c"string|int", value))
    }

    fn left_out() -> Option<Self> {
        Some(Self::Made(Vec::new()))
    }
}

impl Name {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Held(string) => string.bytes(),
            Self::Made(bytes) => bytes,
        }
    }

    /// `empty()` of it.
    fn is_empty(&self) -> bool {
        matches!(self.bytes(), b"" | b"0")
    }

    /// Everybody when it is left out or '', else the members of the group.
    pub(crate) fn scope(&self) -> Option<Vec<PhpStr<'_>>> {
        (!self.bytes().is_empty()).then(|| vec![self.wire()])
    }

    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(self.bytes())
    }

    /// `None` when it is empty: nobody has such a name, so a send or a question about it concerns nobody.
    pub(crate) fn asked(&self) -> Option<PhpStr<'_>> {
        if self.is_empty() {
            skipped::count(1);
            return None;
        }
        Some(self.wire())
    }

    /// `None`, after a warning, when it is empty, for what binds, joins or leaves. `undone` says what has not been done.
    pub(crate) fn filled(&self, naming: Naming, undone: &str) -> Result<Option<PhpStr<'_>>, Failure> {
        if !self.is_empty() {
            return Ok(Some(self.wire()));
        }
        let word = naming.word();
        warn(&format!(
            "the {word} is empty, so {undone}; give a {word} that is not '', '0', 0, null, false or []"
        ))?;
        Ok(None)
    }

    /// As [`Name::filled`], for a name that the gateway is to keep.
    pub(crate) fn kept(&self, naming: Naming, undone: &str) -> Result<Option<PhpStr<'_>>, Failure> {
        let length = self.bytes().len();
        if length > MAX_NAME {
            let word = naming.word();
            return Err(Failure::Exception(format!(
                "the {word} has {length} bytes, more than the {MAX_NAME} that one may have"
            )));
        }
        self.filled(naming, undone)
    }
}

/// A group whose members are asked about, or everybody: when it is left out, and when it is empty.
pub(crate) struct Members(Name);

impl Argument for Members {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        Name::read(value, position).map(Self)
    }

    fn left_out() -> Option<Self> {
        Name::left_out().map(Self)
    }
}

impl Members {
    pub(crate) fn groups(&self) -> Option<Vec<PhpStr<'_>>> {
        (!self.0.is_empty()).then(|| vec![self.0.wire()])
    }
}

/// One or many uids or groups.
pub(crate) enum Names {
    One(Name),
    Many(Vec<Name>),
}

impl Argument for Names {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            return names(value, position).map(Self::Many);
        }
        match name(value)? {
            Some(name) => Ok(Self::One(name)),
            None => Err(type_error(position, c"array|string|int", value)),
        }
    }
}

impl Names {
    /// `empty()` of the argument as a whole.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(name) => name.is_empty(),
            Self::Many(names) => names.is_empty(),
        }
    }

    /// Those that are not empty: the others name nobody.
    pub(crate) fn asked(&self) -> wire::Names<'_> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        };
        let filled: wire::Names = names.iter().filter(|name| !name.is_empty()).map(Name::wire).collect();
        // A list without elements is as empty as an empty name.
        let empty = if names.is_empty() { 1 } else { names.len() - filled.len() };
        skipped::count(empty);
        filled
    }
}

/// An array of uids or groups, as they are: an empty one is asked for like any other, and nobody has it.
pub(crate) struct NameList(Vec<Name>);

impl Argument for NameList {
    const TYPE: DataType = DataType::Array;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            names(value, position).map(Self)
        } else {
            Err(type_error(position, c"array", value))
        }
    }

    fn left_out() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

impl NameList {
    pub(crate) fn wire(&self) -> Vec<PhpStr<'_>> {
        self.0.iter().map(Name::wire).collect()
    }
}

/// A number of seconds, an hour when left out.
pub(crate) struct Seconds(pub(crate) i64);

impl Argument for Seconds {
    const TYPE: DataType = DataType::Long;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if let Some(seconds) = value.long() {
            return Ok(Self(seconds));
        }
        let (mut held, mut seconds) = (hold(value), 0);
        // SAFETY: a live value that nobody else has, and where the result goes.
        let converted = unsafe { sys::zend_parse_arg_long_slow(&raw mut held, &raw mut seconds, position) };
        if converted { unless_thrown(Self(seconds)) } else { Err(type_error(position, c"int", value)) }
    }

    fn left_out() -> Option<Self> {
        Some(Self(3600))
    }
}

/// How long to wait, in milliseconds; zero, as when left out, is without end, and less than that not at all.
pub(crate) struct Patience(pub(crate) Option<Duration>);

impl Argument for Patience {
    const TYPE: DataType = DataType::Long;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        let Seconds(milliseconds) = Seconds::read(value, position)?;
        Ok(Self((milliseconds != 0).then(|| Duration::from_millis(milliseconds.try_into().unwrap_or(0)))))
    }

    fn left_out() -> Option<Self> {
        Some(Self(None))
    }
}

/// An array as a JSON object, empty when left out.
pub(crate) struct Json(pub(crate) Map<String, Value>);

impl Argument for Json {
    const TYPE: DataType = DataType::Array;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        match value.array() {
            Some(array) => json::object(array).map(Self),
            None => Err(type_error(position, c"array", value)),
        }
    }

    fn left_out() -> Option<Self> {
        Some(Self(Map::new()))
    }
}

/// An array of anything.
pub(crate) struct Array(pub(crate) Zval);

impl Argument for Array {
    const TYPE: DataType = DataType::Array;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() { Ok(Self(hold(value))) } else { Err(type_error(position, c"array", value)) }
    }
}

pub(crate) struct Callable(pub(crate) Zval);

impl Argument for Callable {
    const TYPE: DataType = DataType::Callable;

    /// Whether it is one may take loading a class, which is code of the program.
    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        let held = hold(value);
        let is_callable = unless_thrown(held.is_callable())?;
        if is_callable { Ok(Self(held)) } else { Err(type_error(position, c"callable", value)) }
    }
}

/// Anything.
pub(crate) struct Anything(pub(crate) Zval);

impl Argument for Anything {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, _: u32) -> Result<Self, Failure> {
        Ok(Self(hold(value)))
    }
}

/// A scalar, null or Stringable as a string, what is empty as an empty one. `None` when it is none of these.
fn name(value: &Zval) -> Result<Option<Name>, Failure> {
    let value = value.dereference();
    if let Some(string) = HeldString::of(value) {
        return Ok(Some(Name::Held(string)));
    }
    if let Some(number) = value.long() {
        return Ok(Some(Name::Made(number.to_string().into_bytes())));
    }
    if value.is_array() || value.is_resource() {
        return Ok(None);
    }
    // 0.0 and -0.0 are empty, though their strings need not be; null and false are '' as strings.
    if !value.is_object() && !value.coerce_to_bool() {
        let text: &[u8] = if value.is_double() { b"0" } else { b"" };
        return Ok(Some(Name::Made(text.to_vec())));
    }
    string(value).map(|string| Some(Name::Held(string)))
}

/// What no string is, as one. Objects say theirs.
fn string(value: &Zval) -> Result<HeldString, Failure> {
    let mut held = hold(value);
    // SAFETY: a live value that nobody else has; what is no string gives a new string, or null after throwing.
    let converted = unsafe { sys::zval_try_get_string_func(&raw mut held).as_mut() };
    let Some(converted) = converted else { return Err(Failure::Pending) };
    // SAFETY: the string is handed over with a reference of its own.
    let string: ZBox<ZendStr> = unsafe { ZBox::from_raw(converted) };
    // An object's last user may be this, and then its destructor runs here.
    drop(held);
    unless_thrown(string.into())
}

fn names(value: &Zval, position: u32) -> Result<Vec<Name>, Failure> {
    each(value, |entry| name(entry)?.ok_or_else(|| type_error(position, c"a list of string|int", value)))
}

fn client_list(value: &Zval, position: u32) -> Result<Vec<ClientId>, Failure> {
    each(value, |entry| match name(entry)? {
        Some(id) => Ok(ClientId::from_hex(id.bytes())?),
        None => Err(type_error(position, c"a list of string", value)),
    })
}

/// The elements of an array, which is held: reading one may run code that changes the variable which it came from.
fn each<T>(list: &Zval, read: impl Fn(&Zval) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let held = hold(list);
    held.array().map_or_else(|| Ok(Vec::new()), |array| elements(array).map(read).collect())
}

/// What a string parameter takes.
fn text(value: &Zval, position: u32, expected: &CStr) -> Result<HeldString, Failure> {
    if let Some(string) = HeldString::of(value) {
        return Ok(string);
    }
    let (mut held, mut string) = (hold(value), ptr::null_mut());
    // SAFETY: a live value that nobody else has, and where the result goes. A number becomes a string in its place.
    let converted = unsafe { sys::zend_parse_arg_str_slow(&raw mut held, &raw mut string, position) };
    match HeldString::of(&held).filter(|_| converted) {
        Some(string) => unless_thrown(string),
        None => Err(type_error(position, expected, value)),
    }
}
