//! Numbers of messages as they stand in control messages and headers.

/// Number of digits of the largest position that is taken, which is far below what 64 bits hold.
const MAX_DIGITS: usize = 18;

/// Reads a position: decimal digits without a sign and without zeros before them.
pub(super) fn position(digits: &str) -> Result<u64, &'static str> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = digits.len() <= MAX_DIGITS && (digits == "0" || !digits.starts_with('0'));
    match digits.parse() {
        Ok(number) if is_number && is_short => Ok(number),
        _ => Err("the number of messages must be decimal digits, without zeros before them"),
    }
}
