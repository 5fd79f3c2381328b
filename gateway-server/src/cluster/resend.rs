//! The requests by which a node that may have missed another node's orders asks for them again.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::system::ages::millis;

/// Time in which a node is granted one more resend.
const INTERVAL: Duration = super::heartbeat::INTERVAL;
/// The number of resends that a node may be granted at once. A node needs one whenever a process of it or of its peer takes over, and
/// clients that go from node to node wait for it.
const AT_ONCE: u32 = 8;

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

/// The bound on the cost of a peer's requests: some are served at once and then one in each interval, and the latest of those that come
/// too soon waits.
#[derive(Default)]
pub(super) struct ResendLimiter {
    /// The time at which all resends that were granted are made up for. Each moves it on by one interval.
    made_up_at: Option<Instant>,
    /// A request that came too soon, and the time when it came.
    postponed: Option<(ResendRequest, Instant)>,
}

impl ResendLimiter {
    /// True when a request is served now. Otherwise it is kept for [`ResendLimiter::due`] and replaces an earlier one, which the
    /// peer has given up.
    pub(super) fn may_serve(&mut self, request: ResendRequest, now: Instant) -> bool {
        let may_serve = grant(&mut self.made_up_at, now);
        self.postponed = (!may_serve).then_some((request, now));
        may_serve
    }

    /// Takes the postponed request once it may be served. The age that it allows has grown by the time that it waited.
    pub(super) fn due(&mut self, now: Instant) -> Option<ResendRequest> {
        let (request, came) = self.postponed.take_if(|_| grant(&mut self.made_up_at, now))?;
        let within = request.within.saturating_add(now.saturating_duration_since(came));
        Some(ResendRequest { within, ..request })
    }
}

/// Grants a resend if fewer than [`AT_ONCE`] have still to be made up for.
fn grant(made_up_at: &mut Option<Instant>, now: Instant) -> bool {
    let next = made_up_at.map_or(now, |at| at.max(now)) + INTERVAL;
    let may_serve = next.saturating_duration_since(now) <= INTERVAL * AT_ONCE;
    if may_serve {
        *made_up_at = Some(next);
    }
    may_serve
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
    fn what_is_asked_for_too_often_waits() {
        let mut limiter = ResendLimiter::default();
        let now = Instant::now();
        let request = |again| ResendRequest { again, after: 0, within: Duration::MAX };
        for again in 0..AT_ONCE {
            assert!(limiter.may_serve(request(again), now), "a few are served at once");
        }
        assert!(!limiter.may_serve(request(20), now) && !limiter.may_serve(request(21), now));
        assert_eq!(limiter.due(now), None);
        let later = now + INTERVAL;
        assert_eq!(limiter.due(later), Some(request(21)), "the latest of those that wait");
        assert_eq!(limiter.due(later), None);
        let recent = ResendRequest { within: INTERVAL, ..request(22) };
        assert!(!limiter.may_serve(recent, later));
        let within = 2 * INTERVAL;
        assert_eq!(
            limiter.due(later + INTERVAL),
            Some(ResendRequest { within, ..recent }),
            "of the same age as it was"
        );
        let rested = later + 100 * INTERVAL;
        for again in 0..AT_ONCE {
            assert!(limiter.may_serve(request(again), rested));
        }
        assert!(!limiter.may_serve(request(23), rested), "no more are granted after a long rest");
    }
}
