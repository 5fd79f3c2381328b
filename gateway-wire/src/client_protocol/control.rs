//! Control messages: text that begins with `gateway:`, which is not the application's.

use std::borrow::Cow;
use std::fmt;

use super::ask::{ANSWER, ASK, AskId};
use super::inbox::{GOT, INBOX, InboxLoss, InboxMessage, InboxPosition, LOST, READ};
use super::position::position;

/// The start of every control message.
const PREFIX: &str = "gateway:";
/// The start of an application's message that itself begins with [`PREFIX`].
const ESCAPE: &str = "gateway:= ";
/// The start of a message of the application that has a header. All of them are counted.
const COUNTED: &str = "gateway:=";

/// A text message, as its receiver understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// A message of the application, without its escape. It is counted.
    Application(&'a str),
    /// A message of the application with a header. It is counted.
    WithHeader(Header<'a>),
    /// A message with a header that this version does not know. It is counted, so that both ends go on alike, and ignored.
    UnknownHeader,
    /// A control message. It is not counted.
    Control(Control),
}

/// A message of the application with a header, which says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// A question to the page.
    Ask(AskId, &'a str),
    /// The page's answer to a question.
    Answer(AskId, &'a str),
    /// A message of the inbox to a page.
    Inbox(InboxMessage<'a>),
    /// Messages of the inbox were dropped before the page's device had them.
    Lost(InboxLoss),
    /// The page has handled all messages of the inbox up to this position.
    Got(InboxPosition),
    /// The page's user has read the message of the inbox at this position.
    Read(InboxPosition),
}

/// A control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The sender has taken so many of the receiver's messages since the client's life began.
    Seen(u64),
    /// A page asks whether the connection still carries anything.
    Ping,
    /// The server's answer to a ping.
    Pong,
    /// A control message that a newer version of the protocol may know. It is ignored.
    Unknown,
}

/// The error for a known control message that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed control message {0:?}: {1}")]
pub struct Malformed(String, &'static str);

impl<'a> Text<'a> {
    /// Reads a text message.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let Some(control) = text.strip_prefix(PREFIX) else { return Ok(Self::Application(text)) };
        if let Some(escaped) = text.strip_prefix(ESCAPE) {
            return Ok(Self::Application(escaped));
        }
        let malformed = |why| Malformed(crate::excerpt(text.as_bytes()), why);
        let asked = |rest: &'a str| {
            let parts = rest.split_once(' ').and_then(|(id, message)| Some((AskId::from_hex(id)?, message)));
            parts
                .ok_or_else(|| malformed("it needs the 16 hex digits of a question, a space and the message"))
        };
        if let Some(rest) = text.strip_prefix(ASK) {
            return asked(rest).map(|(id, message)| Self::WithHeader(Header::Ask(id, message)));
        }
        if let Some(rest) = text.strip_prefix(ANSWER) {
            return asked(rest).map(|(id, message)| Self::WithHeader(Header::Answer(id, message)));
        }
        let header = if let Some(rest) = text.strip_prefix(INBOX) {
            Some(InboxMessage::parse(rest).map(Header::Inbox))
        } else if let Some(rest) = text.strip_prefix(LOST) {
            Some(InboxLoss::parse(rest).map(Header::Lost))
        } else if let Some(rest) = text.strip_prefix(GOT) {
            Some(InboxPosition::parse(rest).map(Header::Got))
        } else {
            text.strip_prefix(READ).map(|rest| InboxPosition::parse(rest).map(Header::Read))
        };
        if let Some(header) = header {
            return header.map(Self::WithHeader).map_err(malformed);
        }
        if text.starts_with(COUNTED) {
            return Ok(Self::UnknownHeader);
        }
        let (word, rest) = control.split_once(' ').map_or((control, None), |(word, rest)| (word, Some(rest)));
        Ok(Self::Control(match (word, rest) {
            ("seen", Some(number)) => Control::Seen(position(number).map_err(malformed)?),
            ("seen", None) => {
                return Err(malformed("it needs the number of messages, as in gateway:seen 64"));
            }
            ("ping", None) => Control::Ping,
            ("pong", None) => Control::Pong,
            ("ping" | "pong", Some(_)) => return Err(malformed("nothing may follow the word")),
            _ => Control::Unknown,
        }))
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen(count) => write!(f, "{PREFIX}seen {count}"),
            Self::Ping => write!(f, "{PREFIX}ping"),
            Self::Pong => write!(f, "{PREFIX}pong"),
            Self::Unknown => write!(f, "{PREFIX}unknown"),
        }
    }
}

/// Gives the text in which a message of the application goes out. A message that begins like control is escaped, so that what a
/// user writes never passes for control.
pub fn escape(message: &str) -> Cow<'_, str> {
    if may_be_control(message.as_bytes()) {
        Cow::Owned(format!("{ESCAPE}{message}"))
    } else {
        Cow::Borrowed(message)
    }
}

/// Gives the bytes in which a text message of the application goes out, or `None` when they are those of the message. PHP may send
/// text that is not UTF-8.
pub fn escape_bytes(message: &[u8]) -> Option<Vec<u8>> {
    may_be_control(message).then(|| [ESCAPE.as_bytes(), message].concat())
}

/// Tells text that has to be read by [`Text::parse`] from text that is the application's as it stands.
pub fn may_be_control(text: &[u8]) -> bool {
    text.starts_with(PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_is_told_from_the_applications_messages() {
        for (text, expected) in [
            ("", Text::Application("")),
            ("hello", Text::Application("hello")),
            ("gateway", Text::Application("gateway")),
            (" gateway:seen 1", Text::Application(" gateway:seen 1")),
            ("gateway:= gateway:seen 1", Text::Application("gateway:seen 1")),
            ("gateway:= ", Text::Application("")),
            ("gateway:=later 7 x", Text::UnknownHeader),
            ("gateway:=ask 00000000000000ff x", Text::WithHeader(Header::Ask(AskId(255), "x"))),
            ("gateway:=answer 00000000000000ff a b", Text::WithHeader(Header::Answer(AskId(255), "a b"))),
            ("gateway:seen 0", Text::Control(Control::Seen(0))),
            ("gateway:seen 999999999999999999", Text::Control(Control::Seen(999_999_999_999_999_999))),
            ("gateway:ping", Text::Control(Control::Ping)),
            ("gateway:pong", Text::Control(Control::Pong)),
            ("gateway:", Text::Control(Control::Unknown)),
            ("gateway:seen64", Text::Control(Control::Unknown)),
            ("gateway:of 2050", Text::Control(Control::Unknown)),
        ] {
            assert_eq!(Text::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn known_control_that_is_malformed_says_why() {
        for text in [
            "gateway:seen",
            "gateway:seen ",
            "gateway:seen -1",
            "gateway:seen +1",
            "gateway:seen 01",
            "gateway:seen 1 ",
            "gateway:seen 1000000000000000000",
            "gateway:seen ١",
            "gateway:ping 1",
            "gateway:pong ",
            "gateway:=ask 0",
            "gateway:=answer ",
            "gateway:=answer 00000000000000ff",
            "gateway:=answer 00000000000000fF x",
            "gateway:=answer ff x",
        ] {
            let error = Text::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(text)
                    && error.contains("must") | error.contains("needs") | error.contains("may"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_escaped_comes_out_as_it_was() {
        for message in
            ["", "x", "gateway:", "gateway:seen 7", "gateway:= x", "gateway:=", "gateway: ", "Gateway:ping"]
        {
            assert_eq!(Text::parse(&escape(message)), Ok(Text::Application(message)));
            let escaped = escape_bytes(message.as_bytes());
            assert_eq!(escaped.unwrap_or(message.into()), escape(message).as_bytes());
        }
        for control in [Control::Seen(64), Control::Ping, Control::Pong] {
            assert_eq!(Text::parse(&control.to_string()), Ok(Text::Control(control)));
        }
    }
}
