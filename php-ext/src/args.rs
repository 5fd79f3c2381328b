//! Arguments as PHP passes them, read by PHP's own rules: a string parameter takes what any string parameter of PHP
//! takes, under strict_types too.

use std::borrow::Cow;
use std::ptr;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use gateway_wire::ClientId;
use gateway_wire::bridge::{self as wire, MAX_NAME, Str};
use serde_bytes::Bytes;

use crate::errors::{Failure, type_error, warn};
use crate::sys;

/// Something that a method takes.
pub(crate) trait Argument<'a>: Sized {
    /// For reflection.
    const TYPE: DataType;
    const NULLABLE: bool = false;

    /// `position` counts from 1. The value borrows from the call's frame, which outlives the call.
    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure>;

    /// What it is when it was left out; `None` when it cannot be.
    fn left_out() -> Option<Self> {
        None
    }
}

/// A string: any bytes.
pub(crate) struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    pub(crate) fn wire(&self) -> Str<'a> {
        Bytes::new(self.0)
    }
}

impl<'a> Argument<'a> for Text<'a> {
    const TYPE: DataType = DataType::String;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        text(value, position, c"string").map(Self)
    }
}

impl<'a> Argument<'a> for Option<Text<'a>> {
    const TYPE: DataType = DataType::String;
    const NULLABLE: bool = true;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            Ok(None)
        } else {
            text(value, position, c"?string").map(|text| Some(Text(text)))
        }
    }

    fn left_out() -> Option<Self> {
        Some(None)
    }
}

/// A bool, false when left out.
pub(crate) struct Flag(pub(crate) bool);

impl<'a> Argument<'a> for Flag {
    const TYPE: DataType = DataType::Bool;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        if let Some(flag) = value.bool() {
            return Ok(Self(flag));
        }
        let mut flag = false;
        // SAFETY: a live value of the frame, and where the result goes.
        let converted = unsafe { sys::zend_parse_arg_bool_slow(value, &raw mut flag, position) };
        if converted { Ok(Self(flag)) } else { Err(type_error(position, c"bool", value)) }
    }

    fn left_out() -> Option<Self> {
        Some(Self(false))
    }
}

/// A string that comes from a page; whatever else came is none.
pub(crate) struct Posted<'a>(pub(crate) Option<&'a [u8]>);

impl<'a> Argument<'a> for Posted<'a> {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &'a mut Zval, _: u32) -> Result<Self, Failure> {
        Ok(Self(value.zend_str().map(|text| text.as_bytes())))
    }
}

/// A client_id of good form.
pub(crate) struct Client(pub(crate) ClientId);

impl<'a> Argument<'a> for Client {
    const TYPE: DataType = DataType::String;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        Ok(Self(ClientId::from_hex(text(value, position, c"string")?)?))
    }
}

/// The client_ids to send to: a list, or anything empty but a list for everybody.
pub(crate) struct Only(pub(crate) Option<Vec<ClientId>>);

impl<'a> Argument<'a> for Only {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
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

impl<'a> Argument<'a> for Except {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() {
            return client_list(value, position).map(Self);
        }
        // Empty by PHP's rules, which objects never are.
        if !value.is_object() && !value.coerce_to_bool() {
            return Ok(Self(Vec::new()));
        }
        let id = text(value, position, c"array|string|null")?;
        Ok(Self(vec![ClientId::from_hex(id)?]))
    }

    fn left_out() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

/// One uid or group: any scalar, kept as a string.
pub(crate) struct Name<'a>(Cow<'a, [u8]>);

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

impl<'a> Argument<'a> for Name<'a> {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        match name(value)? {
            Some(name) => Ok(Self(name)),
            None => Err(type_error(position, c"string|int", value)),
        }
    }

    fn left_out() -> Option<Self> {
        Some(Self(Cow::Borrowed(b"")))
    }
}

impl Name<'_> {
    /// Everybody when it is left out or '', else the members of the group.
    pub(crate) fn scope(&self) -> Option<Vec<Str<'_>>> {
        (!self.0.is_empty()).then(|| vec![self.wire()])
    }

    pub(crate) fn wire(&self) -> Str<'_> {
        Bytes::new(&self.0)
    }

    /// `None`, after a warning, when it is empty. `undone` says what has not been done.
    pub(crate) fn filled(&self, naming: Naming, undone: &str) -> Result<Option<Str<'_>>, Failure> {
        if !is_empty(&self.0) {
            return Ok(Some(Bytes::new(&self.0)));
        }
        warn_of_empty(naming, undone)?;
        Ok(None)
    }

    /// As [`Name::filled`], for a name that the gateway is to keep.
    pub(crate) fn kept(&self, naming: Naming, undone: &str) -> Result<Option<Str<'_>>, Failure> {
        if self.0.len() > MAX_NAME {
            return Err(Failure::Exception(format!(
                "the {} has {} bytes, more than the {MAX_NAME} that one may have",
                naming.word(),
                self.0.len()
            )));
        }
        self.filled(naming, undone)
    }
}

/// One or many uids or groups.
pub(crate) enum Names<'a> {
    One(Name<'a>),
    Many(Vec<Name<'a>>),
}

impl<'a> Argument<'a> for Names<'a> {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        let Some(list) = value.array() else {
            return match name(value)? {
                Some(name) => Ok(Self::One(Name(name))),
                None => Err(type_error(position, c"array|string|int", value)),
            };
        };
        names(value, list, position).map(Self::Many)
    }
}

impl Names<'_> {
    /// `empty()` of the argument as a whole.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(name) => is_empty(&name.0),
            Self::Many(names) => names.is_empty(),
        }
    }

    /// Those that are not empty, after a warning about those that are.
    pub(crate) fn filled(&self, naming: Naming, undone: &str) -> Result<wire::Names<'_>, Failure> {
        if self.is_empty() {
            warn_of_empty(naming, undone)?;
        }
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        };
        let filled = |name: &&Name| !is_empty(&name.0);
        let wire: wire::Names = names.iter().filter(filled).map(|name| Bytes::new(&name.0)).collect();
        let empty = names.len() - wire.len();
        if empty > 0 && matches!(self, Self::Many(_)) {
            let word = naming.word();
            warn(&format!("{empty} of the {} {word}s are empty and were skipped", names.len()))?;
        }
        Ok(wire)
    }
}

fn warn_of_empty(naming: Naming, undone: &str) -> Result<(), Failure> {
    let word = naming.word();
    warn(&format!(
        "the {word} is empty, so {undone}; give a {word} that is not '', '0', 0, null, false or []"
    ))
}

/// An array of uids or groups, as they are: an empty one is asked for like any other, and nobody has it.
pub(crate) struct NameList<'a>(Vec<Name<'a>>);

impl<'a> Argument<'a> for NameList<'a> {
    const TYPE: DataType = DataType::Array;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        match value.array() {
            Some(list) => names(value, list, position).map(Self),
            None => Err(type_error(position, c"array", value)),
        }
    }

    fn left_out() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

impl NameList<'_> {
    pub(crate) fn wire(&self) -> Vec<Str<'_>> {
        self.0.iter().map(Name::wire).collect()
    }
}

/// A number of seconds, an hour when left out.
pub(crate) struct Seconds(pub(crate) i64);

impl<'a> Argument<'a> for Seconds {
    const TYPE: DataType = DataType::Long;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        if let Some(seconds) = value.long() {
            return Ok(Self(seconds));
        }
        let mut seconds = 0;
        // SAFETY: a live value of the frame, and where the result goes.
        let converted = unsafe { sys::zend_parse_arg_long_slow(value, &raw mut seconds, position) };
        if converted { Ok(Self(seconds)) } else { Err(type_error(position, c"int", value)) }
    }

    fn left_out() -> Option<Self> {
        Some(Self(3600))
    }
}

/// An array of anything; none when left out.
pub(crate) struct Items<'a>(pub(crate) Option<&'a Zval>);

impl<'a> Argument<'a> for Items<'a> {
    const TYPE: DataType = DataType::Array;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        Array::read(value, position).map(|array| Self(Some(array.0)))
    }

    fn left_out() -> Option<Self> {
        Some(Self(None))
    }
}

/// An array of anything.
pub(crate) struct Array<'a>(pub(crate) &'a Zval);

impl<'a> Argument<'a> for Array<'a> {
    const TYPE: DataType = DataType::Array;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() { Ok(Self(value)) } else { Err(type_error(position, c"array", value)) }
    }
}

pub(crate) struct Callable<'a>(pub(crate) &'a Zval);

impl<'a> Argument<'a> for Callable<'a> {
    const TYPE: DataType = DataType::Callable;

    fn read(value: &'a mut Zval, position: u32) -> Result<Self, Failure> {
        if value.is_callable() { Ok(Self(value)) } else { Err(type_error(position, c"callable", value)) }
    }
}

/// Anything, which is not looked at.
pub(crate) struct Anything;

impl<'a> Argument<'a> for Anything {
    const TYPE: DataType = DataType::Mixed;

    fn read(_: &'a mut Zval, _: u32) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// `empty()` of a string.
fn is_empty(name: &[u8]) -> bool {
    matches!(name, b"" | b"0")
}

/// A scalar, null or Stringable as a string, what is empty as an empty one. `None` when it is none of these.
fn name(value: &Zval) -> Result<Option<Cow<'_, [u8]>>, Failure> {
    if let Some(string) = value.zend_str() {
        return Ok(Some(Cow::Borrowed(string.as_bytes())));
    }
    if let Some(number) = value.long() {
        return Ok(Some(Cow::Owned(number.to_string().into_bytes())));
    }
    if value.is_array() || value.is_resource() {
        return Ok(None);
    }
    // 0.0 and -0.0 are empty, though their strings need not be.
    if !value.is_object() && !value.coerce_to_bool() {
        return Ok(Some(Cow::Borrowed(b"")));
    }
    // SAFETY: a live value, which is only read: what is no string gives a new string, or null after throwing.
    let converted = unsafe { sys::zval_try_get_string_func(ptr::from_ref(value).cast_mut()).as_mut() };
    let Some(converted) = converted else { return Err(Failure::Pending) };
    // SAFETY: the string is handed over with a reference of its own.
    let string: ZBox<ZendStr> = unsafe { ZBox::from_raw(converted) };
    Ok(Some(Cow::Owned(string.as_bytes().to_vec())))
}

fn names<'a>(value: &Zval, list: &'a ZendHashTable, position: u32) -> Result<Vec<Name<'a>>, Failure> {
    let names = list.values().map(|entry| match name(entry.dereference())? {
        Some(name) => Ok(Name(name)),
        None => Err(type_error(position, c"a list of string|int", value)),
    });
    names.collect()
}

/// What a string parameter takes. A number becomes a string in its place in the frame.
fn text<'a>(value: &'a mut Zval, position: u32, expected: &std::ffi::CStr) -> Result<&'a [u8], Failure> {
    if !value.is_string() {
        let mut string = ptr::null_mut();
        // SAFETY: a live value of the frame, and where the result goes.
        let converted = unsafe { sys::zend_parse_arg_str_slow(value, &raw mut string, position) };
        if !converted {
            return Err(type_error(position, expected, value));
        }
    }
    match value.zend_str() {
        Some(string) => Ok(string.as_bytes()),
        None => Err(type_error(position, expected, value)),
    }
}

fn client_list(value: &Zval, position: u32) -> Result<Vec<ClientId>, Failure> {
    let Some(list) = value.array() else { return Ok(Vec::new()) };
    let ids = list.values().map(|entry| match entry.dereference().zend_str() {
        Some(id) => Ok(ClientId::from_hex(id.as_bytes())?),
        None => match name(entry.dereference())? {
            Some(id) => Ok(ClientId::from_hex(&id)?),
            None => Err(type_error(position, c"a list of string", value)),
        },
    });
    ids.collect()
}
