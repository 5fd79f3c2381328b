//! The conversion of PHP's strings, which may hold any bytes, to JSON's text.

use std::borrow::Cow;

/// Converts bytes to text. Bytes that are not UTF-8 are replaced, so such a name is shown but cannot be given back in a request.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
