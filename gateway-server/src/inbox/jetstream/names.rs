//! The subjects of the stream, and the keyed hashes in them, so that NATS learns neither uids nor ids.

use std::fmt::Write as _;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::kept_notice::KeptNotice;
use crate::inbox::model::Device;

/// Bytes of the authentication code in front of everything that is kept: the first half of an HMAC-SHA-256.
const TAG: usize = 16;

/// Names and authenticates what one cluster keeps.
pub(super) struct Names {
    /// The first two words of all subjects.
    prefix: String,
    key: Hmac<Sha256>,
}

/// The subjects of one uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UidNames {
    prefix: String,
    /// The hash of the uid in hexadecimal digits, as two words, so that uids can be listed part by part.
    hash: String,
}

impl Names {
    pub(super) fn new(secret: &[u8], cluster: &str) -> Self {
        let mut mac = keyed(secret);
        mac.update(b"gateway inbox v1\0");
        mac.update(cluster.as_bytes());
        Self { prefix: format!("gateway_inbox.{cluster}"), key: keyed(&mac.finalize().into_bytes()) }
    }

    /// The subjects of everything in the stream.
    pub(super) fn everything(&self) -> String {
        format!("{}.>", self.prefix)
    }

    /// The subjects of all messages, and of the marks that uids were forgotten.
    pub(super) fn news(&self) -> String {
        format!("{}.n.>", self.prefix)
    }

    /// The subjects of the records of all uids.
    pub(super) fn records(&self) -> String {
        format!("{}.u.>", self.prefix)
    }

    /// The subjects of all messages and marks of those uids whose hash begins with this byte.
    pub(super) fn part(&self, first: u8) -> String {
        format!("{}.n.{first:02x}.>", self.prefix)
    }

    /// The subjects of all notices for PHP.
    pub(super) fn notices(&self) -> String {
        format!("{}.t.>", self.prefix)
    }

    /// The subjects of the watches over all messages.
    pub(super) fn watched(&self) -> String {
        format!("{}.w.>", self.prefix)
    }

    /// The subject of a lease.
    pub(super) fn lease(&self, what: &str) -> String {
        format!("{}.l.{what}", self.prefix)
    }

    /// The id by which NATS knows a notice that comes again.
    pub(super) fn notice_id(&self, uid: &UidNames, notice: &KeptNotice) -> String {
        let (sort, device, _) = notice.fact.as_row();
        let (device_sort, device) = device.map_or((u8::MAX, ""), Device::as_row);
        let parts = [uid.hash.as_bytes(), notice.id.as_bytes(), &[sort, device_sort], device.as_bytes()];
        self.hash(b"notice", &parts)
    }

    /// The id by which NATS knows the watch over a message again.
    pub(super) fn watch_id(&self, uid: &UidNames, id: &str, seq: u64) -> String {
        self.hash(b"watch", &[uid.hash.as_bytes(), id.as_bytes(), &seq.to_be_bytes()])
    }

    pub(super) fn uid(&self, uid: &[u8]) -> UidNames {
        let mut hash = self.hash(b"uid", &[uid]);
        hash.insert(2, '.');
        UidNames { prefix: self.prefix.clone(), hash }
    }

    /// Gives the uid's subjects that a subject of a message or mark belongs to, and its last words.
    pub(super) fn of_news<'s>(&self, subject: &'s str) -> Option<(UidNames, &'s str)> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".n.")?;
        let (hash, words) = rest.split_at_checked(HASH + 1)?;
        Some((UidNames { prefix: self.prefix.clone(), hash: hash.to_owned() }, words.strip_prefix('.')?))
    }

    /// Gives what tells the messages of a uid that replace each other from others; it is never 0.
    pub(super) fn replace_key(&self, uid: &UidNames, key: &str) -> u64 {
        let hash = self.hash(b"replace", &[uid.hash.as_bytes(), key.as_bytes()]);
        u64::from_str_radix(&hash[..16], 16).unwrap_or(1).max(1)
    }

    /// The id by which NATS knows a message that comes again.
    pub(super) fn message_id(&self, uid: &UidNames, id: &str) -> String {
        self.hash(b"message", &[uid.hash.as_bytes(), id.as_bytes()])
    }

    /// The subject of the index entries of an id, one for each uid that has a message with it.
    pub(super) fn index(&self, id: &str) -> String {
        format!("{}.i.{}", self.prefix, self.hash(b"id", &[id.as_bytes()]))
    }

    /// Gives the subjects of the uid with this hash.
    pub(super) fn of_hash(&self, hash: &str) -> UidNames {
        UidNames { prefix: self.prefix.clone(), hash: hash.to_owned() }
    }

    /// Gives what is kept under a subject: a body behind its authentication code.
    pub(super) fn seal(&self, subject: &str, body: &[u8]) -> Bytes {
        let mut sealed = Vec::with_capacity(TAG + body.len());
        sealed.extend_from_slice(&self.tag(subject, body).finalize().into_bytes()[..TAG]);
        sealed.extend_from_slice(body);
        sealed.into()
    }

    /// Gives the body of what is kept under a subject; `None` if nobody with the secret has written it there.
    pub(super) fn open(&self, subject: &str, sealed: &Bytes) -> Option<Bytes> {
        let (tag, body) = sealed.split_at_checked(TAG)?;
        self.tag(subject, body).verify_truncated_left(tag).ok()?;
        Some(sealed.slice(TAG..))
    }

    fn tag(&self, subject: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        for part in [b"seal", subject.as_bytes()] {
            mac.update(part);
            mac.update(b"\0");
        }
        mac.update(body);
        mac
    }

    fn hash(&self, purpose: &[u8], parts: &[&[u8]]) -> String {
        let mut mac = self.key.clone();
        mac.update(purpose);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut text = String::with_capacity(HASH + 1);
        for byte in &mac.finalize().into_bytes()[..HASH / 2] {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// The hexadecimal digits of a hash, which has 128 bits.
const HASH: usize = 32;

impl UidNames {
    /// The subject of messages.
    pub(super) fn messages(&self) -> String {
        format!("{}.n.{}.m", self.prefix, self.hash)
    }

    /// The subject of the mark that the uid was forgotten.
    pub(super) fn forgotten(&self) -> String {
        format!("{}.n.{}.f", self.prefix, self.hash)
    }

    /// The subject of the uid's record.
    pub(super) fn record(&self) -> String {
        format!("{}.u.{}", self.prefix, self.hash)
    }

    /// The subject of the notices for PHP.
    pub(super) fn notices(&self) -> String {
        format!("{}.t.{}", self.prefix, self.hash)
    }

    /// The subject of the watches over messages.
    pub(super) fn watched(&self) -> String {
        format!("{}.w.{}", self.prefix, self.hash)
    }

    /// The hash, as it stands in subjects.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The first byte of the hash.
    pub(super) fn first(&self) -> u8 {
        self.hash.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_words_that_lead_back_to_their_uid() {
        let names = Names::new(b"secret", "c");
        let uid = names.uid(b"a b.*>\r\n");
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        for subject in [
            uid.messages(),
            uid.forgotten(),
            uid.record(),
            uid.notices(),
            uid.watched(),
            names.lease("teller"),
            names.index("a"),
        ] {
            assert!(subject.split('.').all(is_word), "{subject}");
        }
        assert_eq!(names.of_news(&uid.messages()), Some((uid.clone(), "m")));
        assert_eq!(names.of_news(&uid.forgotten()), Some((uid.clone(), "f")));
        assert_eq!(names.of_hash(uid.hash()), uid);
        assert_eq!((names.of_news(&uid.record()), names.of_news("gateway_inbox.c.n.00")), (None, None));
        assert!(names.part(uid.first()).starts_with(&uid.messages()[..20]));
        assert_ne!(names.uid(b"a"), names.uid(b"b"));
        assert_ne!(names.uid(b"a"), Names::new(b"other", "c").uid(b"a"));
        assert_ne!(names.replace_key(&uid, "a"), names.replace_key(&uid, "b"));
    }

    #[test]
    fn only_what_the_secret_has_sealed_there_is_opened() {
        let names = Names::new(b"secret", "c");
        let sealed = names.seal("a.b", b"body");
        assert_eq!(names.open("a.b", &sealed).as_deref(), Some(&b"body"[..]));
        assert_eq!(names.open("a.c", &sealed), None);
        assert_eq!(Names::new(b"other", "c").open("a.b", &sealed), None);
        assert_eq!(names.open("a.b", &sealed.slice(..10)), None);
    }
}
