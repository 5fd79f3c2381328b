//! Random numbers and names.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::errors::Failure;

pub(super) fn number() -> Result<u64, Failure> {
    getrandom::u64().map_err(|error| Failure::other(format!("no random numbers: {error}")))
}

/// Makes a name of 32 hex digits that nothing else has.
pub(super) fn name() -> Result<String, Failure> {
    Ok(format!("{:016x}{:016x}", number()?, number()?))
}

/// Makes a name of 32 hex digits that nothing else has, and that sorts behind those that were made before: 12 digits are the time.
pub(super) fn name_in_time() -> Result<String, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let (high, low) = (number()?, number()?);
    Ok(format!("{:012x}{:04x}{low:016x}", now & 0xffff_ffff_ffff, high & 0xffff))
}
