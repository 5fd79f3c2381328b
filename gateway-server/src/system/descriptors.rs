//! The limit of open files. Every client takes one.

use tracing::{info, warn};

/// A server with a lower limit than this soon runs out of descriptors when it faces the internet.
pub const FEW: u64 = 10_000;

/// The limit to which the server can raise its own. It is 0 where the system does not say.
pub fn hard_limit() -> u64 {
    rlimit::Resource::NOFILE.get_hard().unwrap_or_default()
}

/// Raises the limit of open files as far as the system permits, and warns if that is little.
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
