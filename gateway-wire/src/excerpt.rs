//! Short quotes of values that came from outside, for errors.

/// Gives the first 80 bytes of a value that came from outside, for an error that quotes it. Invalid UTF-8 becomes U+FFFD, and a longer
/// value ends in `…`. Control characters are not escaped.
pub fn excerpt(text: &[u8]) -> String {
    const QUOTED: usize = 80;
    let mut quoted = String::from_utf8_lossy(&text[..text.len().min(QUOTED)]).into_owned();
    if text.len() > QUOTED {
        quoted.push('…');
    }
    quoted
}
