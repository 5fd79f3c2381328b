//! The requests by which a node that may have missed another node's orders asks for them again.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::system::ages::millis;

/// Shortest time between two resends for the same node.
const INTERVAL: Duration = super::heartbeat::INTERVAL;

/// A request to send orders again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResendRequest {
    /// The number of the request, which the frames that answer it repeat.
    pub(super) again: u32,
    /// The number above which all orders are wanted.
    pub(super) after: u64,
    /// The age up to which orders are wanted.
    pub(super) within: Duration,
}

impl ResendRequest {
    /// Encodes the body of a `Resume` frame for the process with this instance. The instance is part of it, as another process at
    /// the same address has other numbers.
    pub(super) fn encode(&self, instance: u64) -> Bytes {
        let within = millis(self.within);
        let Self { again, after, .. } = self;
        [&instance.to_be_bytes()[..], &again.to_be_bytes(), &after.to_be_bytes(), &within.to_be_bytes()]
            .concat()
            .into()
    }

    /// Decodes the body of a `Resume` frame, with the instance that it is for. Gives `None` if the body is malformed.
    pub(super) fn decode(body: &[u8]) -> Option<(u64, Self)> {
        let (instance, rest) = body.split_first_chunk()?;
        let (again, rest) = rest.split_first_chunk()?;
        let (after, rest) = rest.split_first_chunk()?;
        let (within, _) = rest.split_first_chunk()?;
        let within = Duration::from_millis(u64::from_be_bytes(*within));
        let (again, after) = (u32::from_be_bytes(*again), u64::from_be_bytes(*after));
        Some((u64::from_be_bytes(*instance), Self { again, after, within }))
    }
}

/// The bound on the cost of a peer's requests: one is served in each interval, and the latest of those that come too soon waits.
#[derive(Default)]
pub(super) struct ResendLimiter {
    last_served: Option<Instant>,
    /// A request that came too soon, and the time when it came.
    postponed: Option<(ResendRequest, Instant)>,
}

impl ResendLimiter {
    /// True when a request is served now. Otherwise it is kept for [`ResendLimiter::due`] and replaces an earlier one, which the
    /// peer has given up.
    pub(super) fn may_serve(&mut self, request: ResendRequest, now: Instant) -> bool {
        let may_serve = self.is_free(now);
        self.postponed = (!may_serve).then_some((request, now));
        if may_serve {
            self.last_served = Some(now);
        }
        may_serve
    }

    /// Takes the postponed request once it may be served. The age that it allows has grown by the time that it waited.
    pub(super) fn due(&mut self, now: Instant) -> Option<ResendRequest> {
        if !self.is_free(now) {
            return None;
        }
        let (request, came) = self.postponed.take()?;
        self.last_served = Some(now);
        let within = request.within.saturating_add(now.saturating_duration_since(came));
        Some(ResendRequest { within, ..request })
    }

    fn is_free(&self, now: Instant) -> bool {
        self.last_served.is_none_or(|served| now.saturating_duration_since(served) >= INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_were_written() {
        let request = ResendRequest { again: 7, after: 1 << 40, within: Duration::from_millis(1500) };
        let body = request.encode(9);
        assert_eq!(ResendRequest::decode(&body), Some((9, request)));
        for end in 0..body.len() {
            assert_eq!(ResendRequest::decode(&body[..end]), None);
        }
        let all = ResendRequest { within: Duration::MAX, ..request };
        let (_, read) = ResendRequest::decode(&all.encode(9)).unwrap();
        assert!(read.within > Duration::from_secs(1 << 40));
    }

    #[test]
    fn what_is_asked_for_again_at_once_waits() {
        let mut limiter = ResendLimiter::default();
        let now = Instant::now();
        let request = |again| ResendRequest { again, after: 0, within: Duration::MAX };
        assert!(limiter.may_serve(request(1), now));
        assert!(!limiter.may_serve(request(2), now) && !limiter.may_serve(request(3), now));
        assert_eq!(limiter.due(now), None);
        let later = now + INTERVAL;
        assert_eq!(limiter.due(later), Some(request(3)));
        assert_eq!(limiter.due(later), None);
        let recent = ResendRequest { within: INTERVAL, ..request(4) };
        assert!(!limiter.may_serve(recent, later));
        let within = 2 * INTERVAL;
        assert_eq!(
            limiter.due(later + INTERVAL),
            Some(ResendRequest { within, ..recent }),
            "of the same age as it was"
        );
    }
}
