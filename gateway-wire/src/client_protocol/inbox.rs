//! What the server and a page say to each other of the inbox: messages with a header, which both ends count.

use std::fmt;

use super::position::position;

/// The start of a message of the inbox to a page.
pub(super) const INBOX: &str = "gateway:=inbox ";
/// The start of what tells a page that messages were dropped before it had them.
pub(super) const LOST: &str = "gateway:=lost ";
/// The start of a page's acknowledgement.
pub(super) const GOT: &str = "gateway:=got ";
/// The start of what a page says of a message that its user has read.
pub(super) const READ: &str = "gateway:=read ";
/// The start of the subprotocol by which a page names its device in the handshake.
const DEVICE: &str = "gateway.device.";
/// The word for a message that the device has not been sent before.
const NEW: &str = "new";
/// The word for a message that the device may have been sent before.
const KEPT: &str = "kept";
/// Number of bytes that the id of a message or of a device has at most.
const MAX_ID_BYTES: usize = 64;
/// Number of hex digits of an epoch.
const EPOCH_DIGITS: usize = 16;

/// A position in the inbox of a uid. Another epoch is another inbox, whose numbers say nothing of this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InboxPosition {
    /// The random number that the inbox was given when it was made.
    pub epoch: u64,
    /// The number of a message, from 1; 0 is the position before the first. Numbers rise, and may leave some out.
    pub seq: u64,
}

/// A message of the inbox, as a page gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxMessage<'a> {
    /// Whether the message has not waited: it was sent when it was delivered. A page handles such a message even if another page of the
    /// device has handled it; any other message it handles only if none has.
    pub is_new: bool,
    /// The position of the message.
    pub at: InboxPosition,
    /// The id of the message, which is the application's.
    pub id: &'a str,
    /// What the application sent.
    pub message: &'a str,
}

/// So many messages of an inbox were dropped before the device had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxLoss {
    /// The epoch of the inbox.
    pub epoch: u64,
    /// The number of messages.
    pub count: u64,
}

impl<'a> InboxMessage<'a> {
    /// Reads what follows [`INBOX`].
    pub(super) fn parse(rest: &'a str) -> Result<Self, &'static str> {
        let mut parts = rest.splitn(5, ' ');
        let mut next =
            || parts.next().ok_or("it needs new or kept, an epoch, a number, an id and the message");
        let (kind, epoch, seq, id, message) = (next()?, next()?, next()?, next()?, next()?);
        let is_new = match kind {
            NEW => true,
            KEPT => false,
            _ => return Err("the first word must be new or kept"),
        };
        if !is_id(id) {
            return Err("the id must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -");
        }
        match InboxPosition::from_parts(epoch, seq)? {
            InboxPosition { seq: 0, .. } => Err("the number must be 1 or more"),
            at => Ok(Self { is_new, at, id, message }),
        }
    }
}

/// Gives the text message by which a page gets a message of the inbox.
pub fn inbox_message(is_new: bool, at: InboxPosition, id: &str, message: &[u8]) -> Vec<u8> {
    let kind = if is_new { NEW } else { KEPT };
    [format!("{INBOX}{kind} {at} {id} ").as_bytes(), message].concat()
}

impl InboxPosition {
    /// Reads an epoch and a number.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (epoch, seq) = text.split_once(' ').ok_or("it needs an epoch and a number")?;
        Self::from_parts(epoch, seq)
    }

    fn from_parts(epoch: &str, seq: &str) -> Result<Self, &'static str> {
        Ok(Self { epoch: parse_epoch(epoch)?, seq: position(seq)? })
    }

    /// Gives the text message by which a page says that it has handled all messages up to this position.
    pub fn got(self) -> String {
        format!("{GOT}{self}")
    }

    /// Gives the text message by which a page says that its user has read the message at this position.
    pub fn read(self) -> String {
        format!("{READ}{self}")
    }
}

impl fmt::Display for InboxPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {}", self.epoch, self.seq)
    }
}

impl InboxLoss {
    /// Reads what follows [`LOST`].
    pub(super) fn parse(rest: &str) -> Result<Self, &'static str> {
        let at = InboxPosition::parse(rest)?;
        Ok(Self { epoch: at.epoch, count: at.seq })
    }
}

impl fmt::Display for InboxLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LOST}{:016x} {}", self.epoch, self.count)
    }
}

fn parse_epoch(digits: &str) -> Result<u64, &'static str> {
    let wrong = "the epoch must be 16 hex digits in lower case";
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != EPOCH_DIGITS || !is_hex {
        return Err(wrong);
    }
    u64::from_str_radix(digits, 16).map_err(|_| wrong)
}

/// Gives the device that a subprotocol of the handshake names, or `None` when it names none.
pub fn offered_device(subprotocol: &str) -> Option<&str> {
    subprotocol.strip_prefix(DEVICE).filter(|id| is_id(id))
}

/// Tells whether the id of a message or of a device may be one: 1 to 64 letters, digits, `_` and `-`.
pub fn is_id(id: &str) -> bool {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_plain && (1..=MAX_ID_BYTES).contains(&id.len())
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Text};
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_written() {
        let at = InboxPosition { epoch: 0xabc, seq: 7 };
        for (is_new, id, message, expected) in [
            (true, "a_B-9", "hi  you", "gateway:=inbox new 0000000000000abc 7 a_B-9 hi  you"),
            (false, "i", "", "gateway:=inbox kept 0000000000000abc 7 i "),
        ] {
            let text = inbox_message(is_new, at, id, message.as_bytes());
            assert_eq!(text, expected.as_bytes());
            let read = Header::Inbox(InboxMessage { is_new, at, id, message });
            assert_eq!(Text::parse(expected), Ok(Text::WithHeader(read)));
        }
        assert_eq!(inbox_message(true, at, "i", b"\xff").last(), Some(&0xff));
        for (text, header, expected) in [
            (at.got(), Header::Got(at), "gateway:=got 0000000000000abc 7"),
            (at.read(), Header::Read(at), "gateway:=read 0000000000000abc 7"),
        ] {
            assert_eq!(text, expected);
            assert_eq!(Text::parse(expected), Ok(Text::WithHeader(header)));
        }
        let loss = InboxLoss { epoch: 0xabc, count: 3 };
        assert_eq!(loss.to_string(), "gateway:=lost 0000000000000abc 3");
        assert_eq!(Text::parse(&loss.to_string()), Ok(Text::WithHeader(Header::Lost(loss))));
    }

    #[test]
    fn malformed_texts_are_errors_and_others_are_not_the_inboxs() {
        let too_long = format!("gateway:=inbox new 0000000000000abc 7 {} m", "x".repeat(MAX_ID_BYTES + 1));
        for text in [
            too_long.as_str(),
            "gateway:=inbox new 0000000000000abc 7 id",
            "gateway:=inbox new 0000000000000abc 0 id m",
            "gateway:=inbox old 0000000000000abc 7 id m",
            "gateway:=inbox kept 0000000000000abc 7  m",
            "gateway:=inbox kept 0000000000000abc 7 é m",
            "gateway:=read 0000000000000ABC 7",
            "gateway:=read 0000000000000abc 7 x",
            "gateway:=got 0000000000000abc 07",
            "gateway:=got 0000000000000abc",
            "gateway:=got abc 7",
            "gateway:=got 0000000000000abc 1000000000000000000",
            "gateway:=lost 0000000000000abc -1",
        ] {
            assert!(Text::parse(text).is_err(), "{text}");
        }
        for text in ["gateway:=gotten 1", "gateway:=inboxes 1"] {
            assert_eq!(Text::parse(text), Ok(Text::UnknownHeader), "{text}");
        }
    }

    #[test]
    fn a_device_is_named_by_a_subprotocol() {
        assert_eq!(offered_device("gateway.device.a_B-9"), Some("a_B-9"));
        for wrong in ["gateway.device.", "gateway.device.a.b", "gateway.2", "device.a"] {
            assert_eq!(offered_device(wrong), None, "{wrong}");
        }
        assert_eq!(offered_device(&format!("{DEVICE}{}", "x".repeat(65))), None);
    }
}
