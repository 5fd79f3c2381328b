//! A NATS credentials file: a signed statement of who the user is, and the seed of the key that proves it.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::Ed25519KeyPair;

use crate::system::files;

/// Credentials as `nsc` writes them: <https://docs.nats.io/using-nats/developer/connecting/creds>.
pub(in crate::cluster) struct Credentials {
    pub(in crate::cluster) jwt: String,
    key: Ed25519KeyPair,
}

/// Bytes of a seed in the file: two of its type, 32 of the seed itself, and two of a checksum.
const SEED: usize = 2 + 32 + 2;
/// Bytes of the longest credentials file.
const MAX_FILE: u64 = 64 << 10;

impl Credentials {
    /// Reads a credentials file. The error is a text for the log.
    pub(in crate::cluster) fn read(path: &Path) -> Result<Self, String> {
        Self::parse(&files::read_text(path, MAX_FILE).map_err(|error| error.to_string())?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let jwt = block(text, "NATS USER JWT").ok_or("it has no block NATS USER JWT")?;
        let seed = block(text, "USER NKEY SEED").ok_or("it has no block USER NKEY SEED")?;
        let key = key(seed).ok_or("its seed is not one of a user")?;
        Ok(Self { jwt: jwt.to_owned(), key })
    }

    /// Signs the server's nonce for the login.
    pub(in crate::cluster) fn sign(&self, nonce: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(nonce.as_bytes()))
    }
}

/// Gives the line between `-----BEGIN name-----` and the end of the block, which has one dash more.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.trim_matches('-') == format!("BEGIN {name}"))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

fn key(seed: &str) -> Option<Ed25519KeyPair> {
    let bytes = base32(seed)?;
    let (content, checksum) = bytes.split_at_checked(SEED - 2)?;
    let is_whole = *checksum == crc16(content).to_le_bytes();
    // The type is "S" for seed in five bits and "U" for user in the next eight.
    let is_of_user = content[0] & 0xf8 == 18 << 3 && (content[0] & 7) << 5 | content[1] >> 3 == 20 << 3;
    (is_whole && is_of_user).then(|| Ed25519KeyPair::from_seed_unchecked(&content[2..]).ok())?
}

/// Decodes base32 of RFC 4648, without padding.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(SEED), 0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

/// Computes the checksum CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_and_a_text_of_known_value() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(base32("MZXW6YTBOI").unwrap(), b"foobar");
        assert_eq!(base32("a"), None);
    }

    #[test]
    fn seeds_of_others_and_broken_ones_are_refused() {
        // The type is "S" in five bits and "U" in the next eight.
        let mut content = vec![18 << 3 | 160 >> 5, 160u8.wrapping_shl(3)];
        content.extend([7; 32]);
        let text = |content: &[u8]| {
            let mut bytes = content.to_vec();
            bytes.extend(crc16(content).to_le_bytes());
            encode32(&bytes)
        };
        let seed = text(&content);
        assert!(seed.starts_with("SU"), "{seed}");
        assert!(key(&seed).is_some());
        let mut other = seed.clone().into_bytes();
        other[20] = if other[20] == b'A' { b'B' } else { b'A' };
        assert!(key(std::str::from_utf8(&other).unwrap()).is_none());
        content[0] = 18 << 3;
        assert!(key(&text(&content)).is_none());
        assert!(key("SU").is_none());

        let file = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n\
            -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let credentials = Credentials::parse(&file).unwrap();
        assert_eq!((credentials.jwt.as_str(), credentials.sign("nonce").len()), ("eyJ0", 86));
        assert!(Credentials::parse("-----BEGIN NATS USER JWT-----\neyJ0\n").is_err());
    }

    fn encode32(bytes: &[u8]) -> String {
        let bits =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect::<Vec<_>>();
        let letter = |five: &[u8]| {
            let value = (0..5).fold(0, |value, bit| value << 1 | five.get(bit).copied().unwrap_or(0));
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(value)])
        };
        bits.chunks(5).map(letter).collect()
    }
}
