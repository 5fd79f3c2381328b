//! A reader of an answer's msgpack that goes piece by piece and takes no memory of its own, whatever lengths the answer claims.

use super::{AnswerValue, DecodeError, decode};

/// One msgpack value, still encoded. Nothing of it has been checked yet.
#[derive(Clone, Copy, Debug)]
pub struct RawValue<'a>(&'a [u8]);

/// One level of a value: a scalar, or an iterator over its children, which stay encoded until they are asked for.
#[derive(Clone, Debug)]
pub enum RawPart<'a> {
    /// PHP's null, msgpack's nil.
    Null,
    /// A bool.
    Bool(bool),
    /// An integer of 64 bits, as PHP has them.
    Int(i64),
    /// A PHP string: any bytes, from msgpack's `str` or `bin`.
    Str(&'a [u8]),
    /// The items of a list.
    List(RawItems<'a>),
    /// The entries of a map: each key is followed by its value, so there are twice as many items as entries.
    Map(RawItems<'a>),
}

/// Iterates over the children of a list or map. After the first item that is broken it ends.
#[derive(Clone, Debug)]
pub struct RawItems<'a> {
    left: usize,
    bytes: &'a [u8],
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// The bytes end before the value does, or it claims more items or bytes than there are.
    #[error("it ends too early")]
    Truncated,
    /// The value is a float, an extension type, an integer over 64 signed bits, or no msgpack at all.
    #[error("it has a value that PHP has none for")]
    NoSuchValue,
}

impl<'a> RawValue<'a> {
    /// Makes a reader of the value at the start of `bytes`. The bytes behind the value are never looked at.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads the first level of the value. The children of a list or map are checked only as they are iterated over.
    pub fn read(self) -> Result<RawPart<'a>, BadValue> {
        let (head, rest) = Head::read(self.0)?;
        Ok(match head {
            Head::Null => RawPart::Null,
            Head::Bool(value) => RawPart::Bool(value),
            Head::Int(value) => RawPart::Int(value),
            Head::Str(length) => RawPart::Str(rest.get(..length).ok_or(BadValue::Truncated)?),
            Head::List(left) => RawPart::List(RawItems { left, bytes: rest }),
            Head::Map(pairs) => {
                RawPart::Map(RawItems { left: pairs.checked_mul(2).ok_or(BadValue::Truncated)?, bytes: rest })
            }
        })
    }

    /// Decodes the whole value to a tree, which takes many times the memory. Bytes behind the value are an error here.
    pub fn to_value(self) -> Result<AnswerValue, DecodeError> {
        decode(self.0)
    }

    /// Measures the whole value, children included, in bytes.
    fn length(self) -> Result<usize, BadValue> {
        let (mut rest, mut left) = (self.0, 1_usize);
        while left > 0 {
            // Each value takes a byte at least.
            if left > rest.len() {
                return Err(BadValue::Truncated);
            }
            let (head, behind) = Head::read(rest)?;
            left -= 1;
            rest = behind;
            match head {
                Head::Null | Head::Bool(_) | Head::Int(_) => {}
                Head::Str(length) => rest = rest.get(length..).ok_or(BadValue::Truncated)?,
                Head::List(items) => left = left.saturating_add(items),
                Head::Map(pairs) => left = left.saturating_add(pairs.saturating_mul(2)),
            }
        }
        Ok(self.0.len() - rest.len())
    }
}

impl<'a> RawItems<'a> {
    /// Iterates over `left` values that stand at the start of `bytes`.
    pub(super) fn of(bytes: &'a [u8], left: usize) -> Self {
        Self { left, bytes }
    }

    /// Gives the bytes behind the items that were iterated over.
    pub(super) fn unread(&self) -> &'a [u8] {
        self.bytes
    }

    /// Gives the number of items that are left as the answer claims it: it is no size to reserve memory by.
    pub fn claimed(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for RawItems<'a> {
    type Item = Result<RawValue<'a>, BadValue>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let length = RawValue(self.bytes).length();
        if length.is_err() {
            self.left = 0;
        }
        Some(length.map(|length| {
            let (item, rest) = self.bytes.split_at(length);
            self.bytes = rest;
            RawValue(item)
        }))
    }
}

/// A value's first bytes: a scalar, or the length of what follows.
enum Head {
    Null,
    Bool(bool),
    Int(i64),
    Str(usize),
    List(usize),
    /// The number of pairs of a key and a value.
    Map(usize),
}

impl Head {
    /// Reads the head at the start of `bytes`, and gives the bytes behind it too.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), BadValue> {
        let (marker, rest) = bytes.split_first().ok_or(BadValue::Truncated)?;
        let fixed = |head| Ok((head, rest));
        match *marker {
            number @ 0..=0x7f => fixed(Self::Int(number.into())),
            pairs @ 0x80..=0x8f => fixed(Self::Map((pairs & 0x0f).into())),
            items @ 0x90..=0x9f => fixed(Self::List((items & 0x0f).into())),
            length @ 0xa0..=0xbf => fixed(Self::Str((length & 0x1f).into())),
            0xc0 => fixed(Self::Null),
            0xc2 => fixed(Self::Bool(false)),
            0xc3 => fixed(Self::Bool(true)),
            // Strings of msgpack's types bin and str, whose lengths have 8, 16 or 32 bits.
            0xc4 | 0xd9 => length::<1>(rest, Self::Str),
            0xc5 | 0xda => length::<2>(rest, Self::Str),
            0xc6 | 0xdb => length::<4>(rest, Self::Str),
            0xcc => unsigned::<1>(rest),
            0xcd => unsigned::<2>(rest),
            0xce => unsigned::<4>(rest),
            0xcf => unsigned::<8>(rest),
            0xd0 => signed(rest, i8::from_be_bytes),
            0xd1 => signed(rest, i16::from_be_bytes),
            0xd2 => signed(rest, i32::from_be_bytes),
            0xd3 => signed(rest, i64::from_be_bytes),
            0xdc => length::<2>(rest, Self::List),
            0xdd => length::<4>(rest, Self::List),
            0xde => length::<2>(rest, Self::Map),
            0xdf => length::<4>(rest, Self::Map),
            number @ 0xe0..=0xff => fixed(Self::Int(i8::from_be_bytes([number]).into())),
            _ => Err(BadValue::NoSuchValue),
        }
    }
}

fn big_endian<const N: usize>(bytes: &[u8]) -> Result<(u64, &[u8]), BadValue> {
    let (digits, rest) = bytes.split_first_chunk::<N>().ok_or(BadValue::Truncated)?;
    Ok((digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)), rest))
}

fn length<const N: usize>(bytes: &[u8], head: fn(usize) -> Head) -> Result<(Head, &[u8]), BadValue> {
    let (length, rest) = big_endian::<N>(bytes)?;
    Ok((head(usize::try_from(length).map_err(|_| BadValue::Truncated)?), rest))
}

fn unsigned<const N: usize>(bytes: &[u8]) -> Result<(Head, &[u8]), BadValue> {
    let (number, rest) = big_endian::<N>(bytes)?;
    Ok((Head::Int(number.try_into().map_err(|_| BadValue::NoSuchValue)?), rest))
}

fn signed<const N: usize, T: Into<i64>>(
    bytes: &[u8],
    read: fn([u8; N]) -> T,
) -> Result<(Head, &[u8]), BadValue> {
    let (digits, rest) = bytes.split_first_chunk::<N>().ok_or(BadValue::Truncated)?;
    Ok((Head::Int(read(*digits).into()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a value to a tree, as far down as it goes.
    fn tree(raw: RawValue) -> Result<AnswerValue, BadValue> {
        Ok(match raw.read()? {
            RawPart::Null => AnswerValue::Null,
            RawPart::Bool(value) => AnswerValue::Bool(value),
            RawPart::Int(value) => AnswerValue::Int(value),
            RawPart::Str(bytes) => AnswerValue::Str(bytes.to_vec()),
            RawPart::List(items) => {
                AnswerValue::List(items.map(|item| tree(item?)).collect::<Result<_, _>>()?)
            }
            RawPart::Map(mut items) => {
                let mut entries = Vec::new();
                while let Some(key) = items.next() {
                    let value = items.next().ok_or(BadValue::Truncated)?;
                    entries.push((tree(key?)?, tree(value?)?));
                }
                AnswerValue::Map(entries)
            }
        })
    }

    fn written(value: &AnswerValue) -> Vec<u8> {
        rmp_serde::to_vec(value).unwrap()
    }

    fn every_value() -> Vec<AnswerValue> {
        let mut values = vec![AnswerValue::Null, AnswerValue::Bool(false), AnswerValue::Bool(true)];
        for shift in 0..64 {
            for number in [1_i64 << shift, (1_i64 << shift).wrapping_sub(1), (-1_i64) << shift] {
                values.push(AnswerValue::Int(number));
            }
        }
        for length in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            values.push(AnswerValue::Str(vec![b'x'; length]));
            values.push(AnswerValue::List(vec![AnswerValue::Int(-7); length]));
            values
                .push(AnswerValue::Map(vec![(AnswerValue::Str(b"key".to_vec()), AnswerValue::Null); length]));
        }
        values.push(AnswerValue::List(values.clone()));
        values
    }

    #[test]
    fn whatever_is_written_is_read() {
        for value in every_value() {
            let bytes = written(&value);
            assert_eq!(RawValue(&bytes).length(), Ok(bytes.len()));
            assert_eq!(tree(RawValue(&bytes)), Ok(value));
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        for lie in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xc0],
            &[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'],
            &[0x92, 0xc0],
            &[0x81, 0xc0],
            &[0xcd, 0],
            &[],
        ] {
            tree(RawValue(lie)).unwrap_err();
            RawValue(lie).length().unwrap_err();
        }
        // Each list claims the most items that there can be, and its first item is such a list again.
        let deep = [0xdd, 0xff, 0xff, 0xff, 0xff].repeat(100_000);
        RawValue(&deep).length().unwrap_err();
        let deep = [0x91].repeat(100_000);
        RawValue(&deep).length().unwrap_err();
    }

    #[test]
    fn what_php_has_no_value_for_is_refused() {
        for bytes in [&[0xc1][..], &[0xca, 0, 0, 0, 0], &[0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0], &[0xd4, 0, 0]] {
            assert_eq!(tree(RawValue(bytes)), Err(BadValue::NoSuchValue));
        }
    }
}
