//! The parameters in the query of a request.

use std::str::FromStr;

use super::answer::Refusal;

/// The names and values, decoded.
pub(super) struct Parameters(Vec<(String, Vec<u8>)>);

impl Parameters {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8_lossy(&decode(name)?).into_owned();
            Some((name, decode(value)?))
        });
        let all: Option<Vec<_>> = decoded.collect();
        all.map(Self)
            .ok_or_else(|| Refusal::invalid("a % in the query must be followed by two hexadecimal digits"))
    }

    /// Takes a parameter's value. An empty value counts as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    pub(super) fn take_as<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let parsed = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| Refusal::invalid(format!("{name} must be {what}")))
    }

    /// Refuses parameters that are left over: a caller who misspells a filter must not believe that it has filtered.
    pub(super) fn none_left(self) -> Result<(), Refusal> {
        match self.0.first() {
            Some((name, _)) => Err(Refusal::invalid(format!("there is no parameter {name}, or not twice"))),
            None => Ok(()),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || Some(char::from(bytes.next()?).to_digit(16)? as u8);
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

/// Escapes a value for a query.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["", "a b", "ä/%&=+?#", "100%"] {
            assert_eq!(decode(&encode(text)), Some(text.as_bytes().to_vec()));
        }
        assert_eq!(decode("a+b%2B%ff"), Some(b"a b+\xff".to_vec()));
        for broken in ["%", "%1", "%zz"] {
            assert_eq!(decode(broken), None);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let mut parameters = Parameters::parse(Some("uid=7&limit=x&&other")).ok().unwrap();
        assert_eq!(parameters.take("uid"), Some(b"7".to_vec()));
        assert!(parameters.take_as::<usize>("limit", "a number").is_err());
        assert!(parameters.none_left().is_err());
    }
}
