//! PHP's strings, which may hold any bytes, as JSON has them.

use std::borrow::Cow;

/// What is no UTF-8 is shown, and cannot be said.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
