//! Converts the gateway's answers to PHP values.

use ext_php_rs::convert::IntoZval;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ArrayKey, ZendHashTable, ZendStr, Zval};
use gateway_wire::ClientId;
use gateway_wire::bridge::{BadValue, RawPart, RawValue};

use crate::errors::Failure;
use crate::memory::MemoryWatch;

/// Lists and named fields may be nested so deep.
const FIELDS_DEEP: usize = 6;

pub(crate) fn string(bytes: &[u8]) -> Zval {
    let mut zval = Zval::new();
    zval.set_zend_string(ZendStr::new(bytes, false));
    zval
}

/// Makes an integer where the value is one, and else a float.
pub(crate) fn number(value: f64) -> Zval {
    let mut zval = Zval::new();
    #[allow(clippy::cast_possible_truncation)] // Taken only when nothing is lost.
    let whole = value as i64;
    #[allow(clippy::cast_precision_loss)]
    if whole as f64 == value {
        zval.set_long(whole);
    } else {
        zval.set_double(value);
    }
    zval
}

/// A PHP array as a method's result; a method that has failed gives an empty one.
pub(crate) struct PhpArray(pub(crate) Zval);

impl Default for PhpArray {
    fn default() -> Self {
        Self(Zval::new_array())
    }
}

impl IntoZval for PhpArray {
    const TYPE: DataType = DataType::Array;
    const NULLABLE: bool = false;

    fn set_zval(self, zval: &mut Zval, persistent: bool) -> ext_php_rs::error::Result<()> {
        self.0.set_zval(zval, persistent)
    }
}

pub(crate) fn list(values: impl ExactSizeIterator<Item = Zval>) -> Result<PhpArray, Failure> {
    let mut table = ZendHashTable::with_capacity(u32::try_from(values.len()).unwrap_or(u32::MAX));
    for value in values {
        table.push(value).map_err(|error| Failure::other(error.to_string()))?;
    }
    let mut zval = Zval::new();
    zval.set_hashtable(table);
    Ok(PhpArray(zval))
}

/// Makes a list of values whose number is not known before.
pub(crate) fn try_list(values: impl Iterator<Item = Result<Zval, Failure>>) -> Result<PhpArray, Failure> {
    let mut table = ZendHashTable::new();
    for value in values {
        table.push(value?).map_err(|error| Failure::other(error.to_string()))?;
    }
    let mut zval = Zval::new();
    zval.set_hashtable(table);
    Ok(PhpArray(zval))
}

/// Makes a map whose keys are strings, or integers where PHP makes integers of them.
pub(crate) fn map<K: AsRef<[u8]>>(
    entries: impl Iterator<Item = Result<(K, Zval), Failure>>,
) -> Result<PhpArray, Failure> {
    let mut table = ZendHashTable::new();
    for entry in entries {
        let (key, value) = entry?;
        let key = key.as_ref();
        let inserted = match integer(key) {
            Some(key) => table.insert_at_index(key, value),
            // The key is made a string of PHP's, since the engine's functions that take a pointer to a key read a byte of an
            // empty one, and a byte behind others.
            None => table.insert(ArrayKey::ZendString(&ZendStr::new(key, false)), value),
        };
        inserted.map_err(|error| Failure::other(error.to_string()))?;
    }
    let mut zval = Zval::new();
    zval.set_hashtable(table);
    Ok(PhpArray(zval))
}

/// A group's name as GatewayWorker's class gives it: an integer where PHP would make one of the key.
pub(crate) fn group(name: &[u8]) -> Zval {
    integer(name).map_or_else(|| string(name), long)
}

/// Gives the integer that PHP makes of a key, which must be written as PHP writes integers.
fn integer(key: &[u8]) -> Option<i64> {
    if !matches!(key.first(), Some(b'-' | b'0'..=b'9')) {
        return None;
    }
    let number: i64 = std::str::from_utf8(key).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == key).then_some(number)
}

pub(crate) fn long(value: i64) -> Zval {
    let mut zval = Zval::new();
    zval.set_long(value);
    zval
}

pub(crate) fn bytes(value: RawValue<'_>) -> Result<&[u8], Failure> {
    match value.read()? {
        RawPart::Str(bytes) => Ok(bytes),
        other => Err(unexpected("a string", &other)),
    }
}

pub(crate) fn items(
    value: RawValue<'_>,
) -> Result<impl Iterator<Item = Result<RawValue<'_>, Failure>>, Failure> {
    match value.read()? {
        RawPart::List(items) => Ok(watched(items.map(|item| Ok(item?)))),
        other => Err(unexpected("a list", &other)),
    }
}

/// Ends the iteration with an error before the values made of the items take too much memory.
fn watched<T>(items: impl Iterator<Item = Result<T, Failure>>) -> impl Iterator<Item = Result<T, Failure>> {
    let memory = MemoryWatch::begin();
    items.map(move |item| memory.check().and(item))
}

/// Iterates over the entries of a map whose keys are strings.
pub(crate) fn entries(
    value: RawValue<'_>,
) -> Result<impl Iterator<Item = Result<(&[u8], RawValue<'_>), Failure>>, Failure> {
    match value.read()? {
        RawPart::Map(mut items) => Ok(watched(std::iter::from_fn(move || {
            let key = items.next()?;
            let value = items.next()?;
            Some(key.map_err(Failure::from).and_then(|key| Ok((bytes(key)?, value?))))
        }))),
        other => Err(unexpected("a map", &other)),
    }
}

/// Gives 1 or 0, as GatewayWorker's class does.
pub(crate) fn flag(value: RawValue<'_>) -> Result<i64, Failure> {
    match value.read()? {
        RawPart::Bool(flag) => Ok(i64::from(flag)),
        other => Err(unexpected("a bool", &other)),
    }
}

pub(crate) fn count(value: RawValue<'_>) -> Result<i64, Failure> {
    match value.read()? {
        RawPart::Int(count) => Ok(count),
        other => Err(unexpected("an integer", &other)),
    }
}

pub(crate) fn optional_bytes(value: RawValue<'_>) -> Result<Option<&[u8]>, Failure> {
    match value.read()? {
        RawPart::Null => Ok(None),
        RawPart::Str(bytes) => Ok(Some(bytes)),
        other => Err(unexpected("a string or null", &other)),
    }
}

pub(crate) fn optional_string(value: RawValue<'_>) -> Result<Zval, Failure> {
    Ok(optional_bytes(value)?.map_or_else(Zval::null, string))
}

/// Makes an array of named fields, or null.
pub(crate) fn optional_fields(value: RawValue<'_>) -> Result<Zval, Failure> {
    match value.read()? {
        RawPart::Null => Ok(Zval::null()),
        _ => Ok(fields(value)?.0),
    }
}

/// Makes an array of named fields.
pub(crate) fn fields(value: RawValue<'_>) -> Result<PhpArray, Failure> {
    fields_within(value, FIELDS_DEEP)
}

/// Makes a list of arrays of named fields.
pub(crate) fn list_of_fields(value: RawValue<'_>) -> Result<PhpArray, Failure> {
    parts(value, FIELDS_DEEP)
}

fn fields_within(value: RawValue<'_>, depth: usize) -> Result<PhpArray, Failure> {
    let Some(depth) = depth.checked_sub(1) else { return Err(unexpected("a field", &value.read()?)) };
    map(entries(value)?.map(|entry| {
        let (name, value) = entry?;
        Ok((name, field(value, depth)?))
    }))
}

fn parts(value: RawValue<'_>, depth: usize) -> Result<PhpArray, Failure> {
    let Some(depth) = depth.checked_sub(1) else { return Err(unexpected("a field", &value.read()?)) };
    try_list(items(value)?.map(|part| field(part?, depth)))
}

/// Makes a value of what stands in a field: a scalar, null, a list, or an array of named fields.
fn field(value: RawValue<'_>, depth: usize) -> Result<Zval, Failure> {
    Ok(match value.read()? {
        RawPart::Null => Zval::null(),
        RawPart::Bool(flag) => boolean(flag),
        RawPart::Int(number) => long(number),
        RawPart::Str(bytes) => string(bytes),
        RawPart::List(_) => parts(value, depth)?.0,
        RawPart::Map(_) => return Ok(fields_within(value, depth)?.0),
    })
}

pub(crate) fn boolean(value: bool) -> Zval {
    let mut zval = Zval::new();
    zval.set_bool(value);
    zval
}

pub(crate) fn client_ids(value: RawValue<'_>) -> Result<PhpArray, Failure> {
    try_list(items(value)?.map(|id| Ok(string(&client_id(bytes(id?)?)?.to_hex()))))
}

pub(crate) fn strings(value: RawValue<'_>) -> Result<PhpArray, Failure> {
    try_list(items(value)?.map(|text| bytes(text?).map(string)))
}

/// Makes `[client_id => client_id]`.
pub(crate) fn client_id_map(value: RawValue<'_>) -> Result<PhpArray, Failure> {
    map(items(value)?.map(|id| {
        let id = client_id(bytes(id?)?)?.to_hex();
        Ok((id, string(&id)))
    }))
}

/// Makes `[name => name]`, with values as `show` makes them.
pub(crate) fn name_map(value: RawValue<'_>, show: fn(&[u8]) -> Zval) -> Result<PhpArray, Failure> {
    map(items(value)?.map(|name| {
        let name = bytes(name?)?;
        Ok((name, show(name)))
    }))
}

/// Makes `[group => …]`, with values as `show` makes them.
pub(crate) fn group_map(
    value: RawValue<'_>,
    show: fn(RawValue<'_>) -> Result<Zval, Failure>,
) -> Result<PhpArray, Failure> {
    map(entries(value)?.map(|entry| {
        let (group, of) = entry?;
        Ok((group, show(of)?))
    }))
}

pub(crate) fn client_id(bytes: &[u8]) -> Result<ClientId, Failure> {
    match bytes.try_into() {
        Ok(bytes) => Ok(ClientId::from_bytes(bytes)),
        Err(_) => Err(unexpected("a client_id", &RawPart::Str(bytes))),
    }
}

fn unexpected(expected: &str, given: &RawPart<'_>) -> Failure {
    let kind = match given {
        RawPart::Null => "null",
        RawPart::Bool(_) => "a bool",
        RawPart::Int(_) => "an integer",
        RawPart::Str(_) => "a string",
        RawPart::List(_) => "a list",
        RawPart::Map(_) => "a map",
    };
    Failure::protocol(format!(
        "the gateway answered with {kind} in place of {expected}: extension and server must be of one release"
    ))
}

impl From<BadValue> for Failure {
    fn from(error: BadValue) -> Self {
        Self::protocol(format!("the gateway's answer cannot be read: {error}"))
    }
}
