//! Makes records of TLS 1.3 with the keys of a client, and so can make any.

use anyhow::{Context as _, bail, ensure};
use ring::aead;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring as provider};
use tokio_rustls::rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

/// The type that every encrypted record shows.
const DATA: u8 = 23;

/// The client's end of a session behind its handshake.
pub struct RecordForger {
    sends: Keys,
    reads: Keys,
}

/// The keys of one direction.
struct Keys {
    key: aead::LessSafeKey,
    iv: Vec<u8>,
    /// The number of the next record.
    number: u64,
}

impl RecordForger {
    /// What a server speaks whose client is a forger: the one cipher that this knows.
    pub fn provider() -> CryptoProvider {
        let cipher_suites = vec![provider::cipher_suite::TLS13_AES_128_GCM_SHA256];
        CryptoProvider { cipher_suites, ..provider::default_provider() }
    }

    /// Goes on with the secrets of a client that has done its handshake.
    pub fn new(secrets: ExtractedSecrets) -> anyhow::Result<Self> {
        Ok(Self { sends: Keys::new(secrets.tx)?, reads: Keys::new(secrets.rx)? })
    }

    /// Makes an encrypted record with this type, content, and padding.
    pub fn record(&mut self, kind: u8, content: &[u8], padding: usize) -> anyhow::Result<Vec<u8>> {
        let mut inner = [content, &[kind], &vec![0; padding]].concat();
        let [high, low] = u16::try_from(inner.len() + aead::AES_128_GCM.tag_len())?.to_be_bytes();
        let header = [DATA, 3, 3, high, low];
        let nonce = self.sends.nonce()?;
        let sealed = self.sends.key.seal_in_place_append_tag(nonce, aead::Aad::from(header), &mut inner);
        sealed.ok().context("sealing")?;
        Ok([&header[..], &inner].concat())
    }

    /// Gives types and contents of the records that the server has sent, all of them whole.
    pub fn open(&mut self, sealed: &[u8]) -> anyhow::Result<Vec<(u8, Vec<u8>)>> {
        let (mut rest, mut opened) = (sealed, Vec::new());
        while let [DATA, 3, 3, high, low, more @ ..] = rest {
            let (header, length) = ([DATA, 3, 3, *high, *low], u16::from_be_bytes([*high, *low]));
            let (record, more) = more.split_at_checked(length.into()).context("a whole record")?;
            let (mut record, nonce) = (record.to_vec(), self.reads.nonce()?);
            let inner = self.reads.key.open_in_place(nonce, aead::Aad::from(header), &mut record);
            let (kind, content) = inner.ok().context("opening")?.split_last().context("a type")?;
            opened.push((*kind, content.to_vec()));
            rest = more;
        }
        ensure!(rest.is_empty(), "{rest:?}");
        Ok(opened)
    }
}

impl Keys {
    fn new((number, secrets): (u64, ConnectionTrafficSecrets)) -> anyhow::Result<Self> {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { bail!("another cipher") };
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, key.as_ref()).ok().context("a key")?;
        Ok(Self { key: aead::LessSafeKey::new(key), iv: iv.as_ref().to_vec(), number })
    }

    fn nonce(&mut self) -> anyhow::Result<aead::Nonce> {
        let mut nonce: [u8; 12] = self.iv[..].try_into()?;
        nonce[4..].iter_mut().zip(self.number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        self.number += 1;
        Ok(aead::Nonce::assume_unique_for_key(nonce))
    }
}
