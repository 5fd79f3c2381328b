//! Open files: every client takes one.

use tracing::{info, warn};

/// Below this a server that faces the internet will soon run out.
const FEW: u64 = 10_000;

/// Raises the limit as far as the system lets us.
pub fn raise_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < FEW => {
            warn!(
                limit,
                "few clients can connect: raise the limit of open files (ulimit -Hn, LimitNOFILE= in systemd)"
            );
        }
        Ok(limit) => info!(limit, "limit of open files"),
        Err(error) => warn!(%error, "the limit of open files could not be raised"),
    }
}
