//! A question to a page and the page's answer: messages of the application with a header, which both ends count.

use std::fmt;

/// The start of a question to a page.
pub(super) const ASK: &str = "gateway:=ask ";
/// The start of a page's answer to a question.
pub(super) const ANSWER: &str = "gateway:=answer ";

/// The name of a question: 64 random bits, as 16 hex digits. Nobody whom the question has not gone to can answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

impl AskId {
    /// Number of digits of an id.
    pub(super) const DIGITS: usize = 16;

    /// Reads 16 hex digits in lower case.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != Self::DIGITS || !is_hex {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(Self)
    }

    /// Gives the text message by which a page is asked. What PHP asks may be bytes that are not UTF-8.
    pub fn question(self, message: &[u8]) -> Vec<u8> {
        [format!("{ASK}{self} ").as_bytes(), message].concat()
    }

    /// Gives the text message by which a page answers.
    pub fn answer(self, message: &str) -> String {
        format!("{ANSWER}{self} {message}")
    }
}

impl fmt::Display for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Text};
    use super::*;

    #[test]
    fn ids_are_16_digits() {
        for id in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(AskId::from_hex(&AskId(id).to_string()), Some(AskId(id)));
        }
        for wrong in ["", "0", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "+123456789abcdef"]
        {
            assert_eq!(AskId::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_answer_of_a_page_is_read_as_it_was_given() {
        let id = AskId(0xabc);
        assert_eq!(id.question(b"who \xff"), b"gateway:=ask 0000000000000abc who \xff");
        for answer in ["", " ", "gateway:= x", "42"] {
            let question = String::from_utf8(id.question(answer.as_bytes())).unwrap();
            assert_eq!(Text::parse(&question), Ok(Text::WithHeader(Header::Ask(id, answer))));
            assert_eq!(Text::parse(&id.answer(answer)), Ok(Text::WithHeader(Header::Answer(id, answer))));
        }
    }
}
