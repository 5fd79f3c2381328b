//! The reader of a request's body, which bounds its length and memory.

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;

use super::answer::Refusal;
use crate::system::memory_reserve;

/// Bytes of memory that the values in a body take for each byte of it, at most.
const GROWTH: usize = 40;

/// Reads a body of at most `limit` bytes, if there is memory for it and for the values in it.
pub(super) async fn read(body: Incoming, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut parts = Limited::new(body, limit);
    let mut whole = Vec::new();
    while let Some(part) = parts.frame().await {
        match part {
            Ok(part) => {
                let Some(bytes) = part.data_ref() else { continue };
                memory_reserve::append(&mut whole, bytes).map_err(|_| no_memory())?;
            }
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("the body has more than the {limit} bytes allowed");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
            }
            Err(error) => return Err(Refusal::invalid(format!("the body did not come whole: {error}"))),
        }
    }
    if memory_reserve::has_room(whole.len() * GROWTH) { Ok(whole) } else { Err(no_memory()) }
}

fn no_memory() -> Refusal {
    let message = "the server has no memory for it now: send less, or later";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_memory", message)
}
