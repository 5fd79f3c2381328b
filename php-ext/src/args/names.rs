//! Uids and groups.

use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, Zval};
use gateway_wire::bridge::{self as wire, MAX_NAME, PhpStr};
use serde_bytes::Bytes;

use super::argument::Argument;
use super::read::{each, string};
use crate::errors::{Failure, type_error, warn};
use crate::held::HeldString;
use crate::skipped;

/// The groups whose members are left out: one, a list, or an empty value for none.
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

    fn when_omitted() -> Option<Self> {
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

/// One uid or group: any scalar, kept as a string.
pub(crate) enum Name {
    Held(HeldString),
    /// The name was made from a number, or is empty.
    Made(Vec<u8>),
}

/// The kind of a name, which messages mention.
#[derive(Clone, Copy)]
pub(crate) enum NameKind {
    Uid,
    Group,
}

impl NameKind {
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

    fn when_omitted() -> Option<Self> {
        Some(Self::Made(Vec::new()))
    }
}

impl Name {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Held(string) => string.bytes(),
            Self::Made(bytes) => bytes,
        }
    }

    /// Whether PHP's `empty()` holds for the name.
    fn is_empty(&self) -> bool {
        matches!(self.bytes(), b"" | b"0")
    }

    /// Gives the group, or `None` for everybody when the name is omitted or ''.
    pub(crate) fn scope(&self) -> Option<Vec<PhpStr<'_>>> {
        (!self.bytes().is_empty()).then(|| vec![self.wire()])
    }

    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(self.bytes())
    }

    /// Gives the name, or `None` when it is empty: nobody has such a name, so a send or a query about it concerns nobody.
    pub(crate) fn asked(&self) -> Option<PhpStr<'_>> {
        if self.is_empty() {
            skipped::count(1);
            return None;
        }
        Some(self.wire())
    }

    /// Gives the name for a call that binds, joins or leaves, or `None` after a warning when it is empty. `undone` says what
    /// has not been done.
    pub(crate) fn filled(&self, naming: NameKind, undone: &str) -> Result<Option<PhpStr<'_>>, Failure> {
        if !self.is_empty() {
            return Ok(Some(self.wire()));
        }
        let word = naming.word();
        warn(&format!(
            "the {word} is empty, so {undone}; give a {word} that is not '', '0', 0, null, false or []"
        ))?;
        Ok(None)
    }

    /// Does the same as [`Name::filled`] for a name that the gateway keeps, whose length is bounded.
    pub(crate) fn kept(&self, naming: NameKind, undone: &str) -> Result<Option<PhpStr<'_>>, Failure> {
        let length = self.bytes().len();
        if length > MAX_NAME {
            let word = naming.word();
            return Err(Failure::argument(format!(
                "the {word} has {length} bytes, more than the {MAX_NAME} that one may have"
            )));
        }
        self.filled(naming, undone)
    }
}

/// A group whose members are asked about, or everybody when it is omitted or empty.
pub(crate) struct GroupOrEverybody(Name);

impl Argument for GroupOrEverybody {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        Name::read(value, position).map(Self)
    }

    fn when_omitted() -> Option<Self> {
        Name::when_omitted().map(Self)
    }
}

impl GroupOrEverybody {
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
    /// Whether PHP's `empty()` holds for the argument as a whole.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(name) => name.is_empty(),
            Self::Many(names) => names.is_empty(),
        }
    }

    /// Gives the names that are not empty, since an empty name is nobody's.
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

/// An array of uids or groups, empty ones included: an empty name is asked about like any other, and nobody has it.
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

    fn when_omitted() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

impl NameList {
    pub(crate) fn wire(&self) -> Vec<PhpStr<'_>> {
        self.0.iter().map(Name::wire).collect()
    }
}

/// Reads a scalar, null or Stringable as a string, and an empty value as an empty one. Gives `None` for any other value.
pub(super) fn name(value: &Zval) -> Result<Option<Name>, Failure> {
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
    // The values 0.0 and -0.0 are empty, though their strings need not be; null and false are '' as strings.
    if !value.is_object() && !value.coerce_to_bool() {
        let text: &[u8] = if value.is_double() { b"0" } else { b"" };
        return Ok(Some(Name::Made(text.to_vec())));
    }
    string(value).map(|string| Some(Name::Held(string)))
}

fn names(value: &Zval, position: u32) -> Result<Vec<Name>, Failure> {
    each(value, |entry| name(entry)?.ok_or_else(|| type_error(position, c"a list of string|int", value)))
}
