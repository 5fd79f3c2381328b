//! Which node of a cluster does what one alone is to do.

use std::time::{Duration, Instant};

use super::api::Publish;
use super::shared::Shared;
use crate::inbox::store::StoreError;

/// A node that has not renewed its lease for this long has lost it. Each node measures that by its own clock.
const LIFE: Duration = Duration::from_secs(15);
/// How often a node renews its lease.
const RENEWAL: Duration = Duration::from_secs(5);

/// What a node knows of a lease.
pub(super) struct Lease {
    what: &'static str,
    /// The position of the lease in the stream when it was looked at last, and since when it has been that.
    seen: Option<(u64, Instant)>,
    /// When this node has renewed the lease last.
    renewed: Option<Instant>,
}

impl Lease {
    /// The lease of whoever tells PHP.
    pub(super) fn of_teller() -> Self {
        Self { what: "teller", seen: None, renewed: None }
    }

    /// The lease of whoever looks for late messages.
    pub(super) fn of_watcher() -> Self {
        Self { what: "watcher", seen: None, renewed: None }
    }
}

impl Shared {
    /// Takes or renews a lease, unless another node has it. Says whether this node has it.
    pub(super) async fn hold(&self, lease: &mut Lease) -> Result<bool, StoreError> {
        if lease.renewed.is_some_and(|renewed| renewed.elapsed() < RENEWAL) {
            return Ok(true);
        }
        lease.renewed = None;
        let (subject, begin) = (self.names.lease(lease.what), Instant::now());
        let last = self.api.last(&subject).await?;
        let revision = last.as_ref().map_or(0, |last| last.seq);
        let holder = last.and_then(|last| self.names.open(&subject, &last.body));
        if holder.is_some_and(|holder| *holder != *self.node) {
            match lease.seen {
                Some((seen, since)) if seen == revision && since.elapsed() >= LIFE => {}
                Some((seen, _)) if seen == revision => return Ok(false),
                _ => {
                    lease.seen = Some((revision, begin));
                    return Ok(false);
                }
            }
        }
        let published = self.api.publish(Publish {
            subject: &subject,
            body: self.names.seal(&subject, &self.node),
            replaces: true,
            id: None,
            behind: Some(revision),
            ttl: None,
        });
        match published.await {
            Ok(_) => {
                lease.renewed = Some(begin);
                Ok(true)
            }
            Err(error) if error.is_wrong_sequence() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
