//! Values as another process of the server reads them: a byte that is the version of the form, and then msgpack.

use rmp_serde::decode;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize as _, Serialize};

/// A form in which values are written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What is written in it, for errors: "the report".
    what: &'static str,
    version: u8,
    has_names: bool,
}

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("{what} has no bytes")]
    Empty { what: &'static str },
    #[error("{what} is written in version {found}, and this server reads version {version}")]
    OtherVersion { what: &'static str, found: u8, version: u8 },
    #[error("{what} is not written as version {version} writes it: {error}")]
    Msgpack { what: &'static str, version: u8, error: decode::Error },
    #[error("{what} is not written as version {version} writes it: more bytes follow")]
    More { what: &'static str, version: u8 },
}

impl Form {
    /// A form in which the fields of a value stand in their order.
    pub const fn new(what: &'static str, version: u8) -> Self {
        Self { what, version, has_names: false }
    }

    /// The form with the names of fields before these, so that a later server of the same version may add some.
    pub const fn with_names(self) -> Self {
        Self { has_names: true, ..self }
    }

    pub fn write(&self, value: &impl Serialize) -> Vec<u8> {
        let mut bytes = self.begin();
        self.append(value, &mut bytes);
        bytes
    }

    /// What stands before every value.
    pub fn begin(&self) -> Vec<u8> {
        vec![self.version]
    }

    /// Writes a value, or a part of one, behind others.
    pub fn append(&self, value: &impl Serialize, bytes: &mut Vec<u8>) {
        // Writing plain values to memory cannot fail.
        let _ = if self.has_names {
            rmp_serde::encode::write_named(bytes, value)
        } else {
            rmp_serde::encode::write(bytes, value)
        };
    }

    /// Reads a value, behind which nothing may stand.
    pub fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Malformed> {
        let mut content = rmp_serde::Deserializer::from_read_ref(self.content(bytes)?);
        let value = T::deserialize(&mut content).map_err(|error| self.malformed(error))?;
        match IgnoredAny::deserialize(&mut content) {
            Err(decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(Malformed::More { what: self.what, version: self.version }),
        }
    }

    /// Reads a value, and gives where what stands behind it begins.
    pub fn read_first<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<(T, usize), Malformed> {
        let mut rest = self.content(bytes)?;
        let value = rmp_serde::from_read(&mut rest).map_err(|error| self.malformed(error))?;
        Ok((value, bytes.len() - rest.len()))
    }

    fn content<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let Self { what, version, .. } = *self;
        match bytes.split_first() {
            Some((found, content)) if *found == version => Ok(content),
            Some((&found, _)) => Err(Malformed::OtherVersion { what, found, version }),
            None => Err(Malformed::Empty { what }),
        }
    }

    fn malformed(&self, error: decode::Error) -> Malformed {
        Malformed::Msgpack { what: self.what, version: self.version, error }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    const FORM: Form = Form::new("the record", 3);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        name: String,
        number: u64,
    }

    fn record() -> Record {
        Record { name: "alice".to_owned(), number: 7 }
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        assert_eq!(FORM.write(&record()), b"\x03\x92\xa5alice\x07");
        let named = FORM.with_names();
        assert_eq!(named.write(&record()), b"\x03\x82\xa4name\xa5alice\xa6number\x07");
        for form in [FORM, named] {
            let mut bytes = form.write(&record());
            assert_eq!(form.read::<Record>(&bytes).unwrap(), record());
            let length = bytes.len();
            bytes.extend_from_slice(b"\xffmore");
            assert_eq!(form.read_first::<Record>(&bytes).unwrap(), (record(), length));
        }
    }

    #[test]
    fn what_is_no_value_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| FORM.read::<Record>(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the record has no bytes");
        assert_eq!(error(&[2, 0x90]), "the record is written in version 2, and this server reads version 3");
        let bytes = FORM.write(&record());
        for length in 1..bytes.len() {
            assert!(
                error(&bytes[..length]).starts_with("the record is not written as version 3 writes it: ")
            );
            assert!(FORM.read_first::<Record>(&bytes[..length]).is_err());
        }
        for more in [0xc0, 0xc1, 0xff] {
            let more = [&bytes[..], &[more]].concat();
            assert_eq!(error(&more), "the record is not written as version 3 writes it: more bytes follow");
        }
        // A length that is claimed and does not come takes no memory.
        let claims = b"\x03\x92\xdb\xff\xff\xff\xff";
        assert!(error(claims).contains("is not written as version 3"));
        assert!(FORM.read_first::<Record>(claims).is_err());
    }
}
