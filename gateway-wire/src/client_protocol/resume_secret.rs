//! The resume secret, by which a page shows that it is the client that was here before.

use std::fmt;
use std::str::FromStr;

use super::position::position;
use crate::{ClientId, is_same_secret};

/// The start of the subprotocol that gives a secret: `gateway.resume.SECRET.SEEN`.
const SUBPROTOCOL: &str = "gateway.resume.";

/// A resume secret: the client that it is for, and 128 random bits. As text it is the client_id and 32 more hexadecimal digits, in
/// lower case. Nothing prints it but [`ResumeSecret::to_text`].
#[derive(Clone, Copy)]
pub struct ResumeSecret {
    client: ClientId,
    random: [u8; 16],
}

/// A page's wish to resume: the secret, and how many messages of the server it has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeOffer {
    /// The secret of the page's last init.
    pub secret: ResumeSecret,
    /// Number of the server's messages that the page has taken since the client's life began.
    pub seen: u64,
}

/// The error for a secret or an offer that is not written as one. It quotes nothing, as what is malformed may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed resume: {0}")]
pub struct MalformedResume(&'static str);

impl ResumeSecret {
    /// Makes the secret of a client from 16 bytes of the system's random generator.
    pub fn new(client: ClientId, random: [u8; 16]) -> Self {
        Self { client, random }
    }

    /// The client that the secret is for. Whoever has made up the secret has made this up too.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Writes the secret, for the page alone.
    pub fn to_text(&self) -> String {
        let random = u128::from_be_bytes(self.random);
        format!("{}{random:032x}", self.client)
    }
}

/// Compares without telling by the time taken where the two differ.
impl PartialEq for ResumeSecret {
    fn eq(&self, other: &Self) -> bool {
        self.client == other.client && is_same_secret(&self.random, &other.random)
    }
}

impl Eq for ResumeSecret {}

impl fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResumeSecret of {}", self.client)
    }
}

impl FromStr for ResumeSecret {
    type Err = MalformedResume;

    fn from_str(text: &str) -> Result<Self, MalformedResume> {
        let malformed = MalformedResume("a resume secret is 52 hexadecimal digits in lower case");
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != ClientId::HEX_DIGITS + 32 || !text.bytes().all(is_hex) {
            return Err(malformed);
        }
        let (client, random) = text.split_at(ClientId::HEX_DIGITS);
        let client = client.parse().map_err(|_| malformed)?;
        let random = u128::from_str_radix(random, 16).map_err(|_| malformed)?;
        Ok(Self { client, random: random.to_be_bytes() })
    }
}

impl ResumeOffer {
    /// Reads the query parameters `resume` and `seen`.
    pub fn from_parameters(resume: &str, seen: &str) -> Result<Self, MalformedResume> {
        Ok(Self { secret: resume.parse()?, seen: position(seen).map_err(MalformedResume)? })
    }

    /// Reads the subprotocol `gateway.resume.SECRET.SEEN`. Gives `None` for any other subprotocol.
    pub fn from_subprotocol(protocol: &str) -> Option<Result<Self, MalformedResume>> {
        let offer = protocol.strip_prefix(SUBPROTOCOL)?;
        Some(match offer.split_once('.') {
            Some((resume, seen)) => Self::from_parameters(resume, seen),
            None => Err(MalformedResume("the number of messages is missing behind the secret")),
        })
    }

    /// Writes the subprotocol that a page offers beside `gateway.2`.
    pub fn to_subprotocol(&self) -> String {
        format!("{SUBPROTOCOL}{}.{}", self.secret.to_text(), self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(random: u8) -> ResumeSecret {
        ResumeSecret::new(ClientId::new("127.0.0.1:1238".parse().unwrap(), 7), [random; 16])
    }

    #[test]
    fn offers_are_read_as_they_are_written() {
        let offer = ResumeOffer { secret: secret(0xab), seen: 64 };
        let text = "7f00000104d600000007abababababababababababababababab";
        assert_eq!(offer.secret.to_text(), text);
        assert_eq!(offer.to_subprotocol(), format!("gateway.resume.{text}.64"));
        assert_eq!(ResumeOffer::from_subprotocol(&offer.to_subprotocol()), Some(Ok(offer)));
        assert_eq!(ResumeOffer::from_parameters(text, "64"), Ok(offer));
        assert_eq!(ResumeOffer::from_subprotocol("gateway.2"), None);
        assert_ne!(offer.secret, secret(0xac));
    }

    #[test]
    fn what_is_malformed_is_refused_and_not_quoted() {
        let text = secret(1).to_text();
        for (resume, seen) in [
            ("", "1"),
            (&text[1..], "1"),
            (&text.to_uppercase(), "1"),
            (&*text, ""),
            (&text, "-1"),
            (&text, "1.2"),
        ] {
            let offer = format!("gateway.resume.{resume}.{seen}");
            let error = ResumeOffer::from_subprotocol(&offer).unwrap().unwrap_err().to_string();
            assert!(!error.contains("0101"), "{error}");
        }
        assert!(ResumeOffer::from_subprotocol("gateway.resume.").unwrap().is_err());
        assert!(!format!("{:?}", secret(1)).contains("0101"));
    }
}
