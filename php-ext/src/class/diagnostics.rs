//! Methods that tell how earlier calls ended: `flush()`, `lastError()` and `stats()`.

use super::method::methods;
use crate::args::Timeout;
use crate::errors;
use crate::links;
use crate::skipped;
use crate::values::{self, PhpArray};

methods! {
    fn flush(call, timeout: Timeout = null) -> bool {
        let _ = call;
        links::flush(timeout.duration()?)
    }

    fn lastError(call) -> Option<String> {
        let _ = call;
        Ok(errors::last())
    }

    fn stats(call) -> PhpArray {
        let stats = links::stats(call.properties()?)?;
        let count = |count: u64| values::long(i64::try_from(count).unwrap_or(i64::MAX));
        let address = stats.connected.map(|address| values::string(address.to_string().as_bytes()));
        let entries: [(&[u8], Zval); 7] = [
            (b"queued", count(stats.queued)),
            (b"queued_bytes", count(stats.queued_bytes as u64)),
            (b"acked", count(stats.acked)),
            (b"resent", count(stats.resent)),
            (b"dropped", count(stats.dropped)),
            (b"skipped", count(skipped::so_far())),
            (b"connected_to", address.unwrap_or_else(Zval::null)),
        ];
        values::map(entries.into_iter().map(Ok))
    }
}
