//! Quotes of values that came from outside.

/// What an error may quote of a value that came from outside.
pub fn excerpt(text: &[u8]) -> String {
    const QUOTED: usize = 80;
    let mut quoted = String::from_utf8_lossy(&text[..text.len().min(QUOTED)]).into_owned();
    if text.len() > QUOTED {
        quoted.push('…');
    }
    quoted
}
