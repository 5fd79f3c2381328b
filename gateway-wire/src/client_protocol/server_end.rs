//! The server's end: the part of a client that outlives its connections.

use std::time::Duration;

use super::control::Control;
use super::counts::{ControlError, Counts, Received};
use super::init::GapReason;
use super::resume_secret::{ResumeOffer, ResumeSecret};
use super::sent::{SeenError, SentMessages};

/// A client as the server keeps it, whether it has a connection or not. `M` is a message as it is kept to be sent again.
#[derive(Clone, Debug)]
pub struct ServerEnd<M> {
    counts: Counts<M>,
    /// The newest secret that the client has shown to have, or `None` before it has shown any.
    proven: Option<ResumeSecret>,
    /// The secret of the last init, which may have been lost on its way.
    latest: ResumeSecret,
}

impl<M> ServerEnd<M> {
    /// Begins a client's life with the secret of its first init.
    pub fn new(secret: ResumeSecret) -> Self {
        Self { counts: Counts::default(), proven: None, latest: secret }
    }

    /// The messages to the page that it may not have seen.
    pub fn unseen(&self) -> &SentMessages<M> {
        &self.counts.sent
    }

    /// Keeps a message that is sent now, or that waits while the client is parked. `weight` is the memory that it takes, in bytes.
    pub fn send(&mut self, message: M, weight: usize) {
        self.counts.sent.push(message, weight);
    }

    /// Takes a text message of the page.
    pub fn receive<'a>(&mut self, text: &'a str, now: Duration) -> Result<Received<'a>, ControlError> {
        self.proven = Some(self.latest);
        self.counts.receive(text, now)
    }

    /// Takes a binary message of the page, which is always the application's. Gives the control message that is sent to the page.
    pub fn receive_binary(&mut self, bytes: usize, now: Duration) -> Option<Control> {
        self.proven = Some(self.latest);
        self.counts.receive_binary(bytes, now)
    }

    /// Gives the control message that is due because a message has waited for long. Call it from time to time.
    pub fn due(&mut self, now: Duration) -> Option<Control> {
        self.counts.due(now)
    }

    /// The secret that the last init has brought, or brings.
    pub fn latest_secret(&self) -> ResumeSecret {
        self.latest
    }

    /// Number of the page's messages taken, for an init.
    pub fn taken(&mut self) -> u64 {
        self.counts.received.tell()
    }

    /// Lets a page come back on a new connection, whose init brings the secret `next`. What it missed is then
    /// [`unseen`](Self::unseen). On an error nothing has changed.
    ///
    /// The secret of the last init is good, and so is the one before, as that init may have been lost on its way.
    pub fn resume(&mut self, offer: &ResumeOffer, next: ResumeSecret) -> Result<(), GapReason> {
        if offer.secret != self.latest && self.proven != Some(offer.secret) {
            return Err(GapReason::Unknown);
        }
        self.counts.sent.seen(offer.seen).map_err(|lie| match lie {
            SeenError::BeyondSent { .. } => GapReason::Unknown,
            // What the page asks for was forgotten, as it said that it had seen it.
            SeenError::Backwards { .. } => GapReason::Overflow,
        })?;
        self.proven = Some(offer.secret);
        self.latest = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientId;

    fn secret(random: u8) -> ResumeSecret {
        ResumeSecret::new(ClientId::new("127.0.0.1:1238".parse().unwrap(), 7), [random; 16])
    }

    fn offer(random: u8, seen: u64) -> ResumeOffer {
        ResumeOffer { secret: secret(random), seen }
    }

    #[test]
    fn the_old_secret_is_good_until_the_page_shows_that_it_has_the_new_one() {
        let mut server = ServerEnd::<u8>::new(secret(1));
        // The init with secret 2 is lost, and so is that with secret 3.
        server.resume(&offer(1, 0), secret(2)).unwrap();
        server.resume(&offer(1, 0), secret(3)).unwrap();
        assert_eq!(server.resume(&offer(2, 0), secret(9)), Err(GapReason::Unknown));
        server.resume(&offer(3, 0), secret(4)).unwrap();
        assert_eq!(server.resume(&offer(1, 0), secret(9)), Err(GapReason::Unknown));
        server.receive("gateway:seen 0", Duration::ZERO).unwrap();
        assert_eq!(server.resume(&offer(3, 0), secret(9)), Err(GapReason::Unknown));
        server.resume(&offer(4, 0), secret(5)).unwrap();
    }

    #[test]
    fn a_false_count_is_no_resume_and_changes_nothing() {
        let mut server = ServerEnd::new(secret(1));
        server.send('a', 1);
        server.send('b', 1);
        server.receive("gateway:seen 1", Duration::ZERO).unwrap();
        assert_eq!(server.resume(&offer(1, 3), secret(2)), Err(GapReason::Unknown));
        assert_eq!(server.resume(&offer(1, 0), secret(2)), Err(GapReason::Overflow));
        server.resume(&offer(1, 1), secret(2)).unwrap();
        assert_eq!(server.unseen().iter().collect::<Vec<_>>(), [&'b']);
        assert!(matches!(server.receive("gateway:seen 7", Duration::ZERO), Err(ControlError::Seen(_))));
        assert!(matches!(server.receive("gateway:seen x", Duration::ZERO), Err(ControlError::Malformed(_))));
    }

    #[test]
    fn control_is_answered_and_not_counted() {
        let mut server = ServerEnd::<u8>::new(secret(1));
        for (text, message, reply) in [
            ("gateway:ping", None, Some(Control::Pong)),
            ("gateway:later", None, None),
            ("gateway:pong", None, None),
            ("gateway:=later x", None, None),
            ("gateway:= gateway:ping", Some("gateway:ping"), None),
            ("hello", Some("hello"), None),
        ] {
            assert_eq!(server.receive(text, Duration::ZERO), Ok(Received { message, reply }), "{text}");
        }
        assert_eq!(server.receive_binary(16 << 10, Duration::ZERO), Some(Control::Seen(4)));
        assert_eq!((server.taken(), server.due(Duration::from_secs(60))), (4, None));
    }
}
