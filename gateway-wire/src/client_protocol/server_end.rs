//! The server's end: the part of a client that outlives its connections.

use std::num::NonZeroU32;
use std::time::Duration;

use super::control::Control;
use super::counts::{ControlError, Counts, Received, SeenError};
use super::exported::ExportedEnd;
use super::init::GapReason;
use super::resume_secret::{ResumeOffer, ResumeSecret};
use super::untold::SeenAfter;

/// A client as the server keeps it, whether it has a connection or not. `M` is an entry as it is kept to be sent again: a message, or
/// several that were joined. Whenever an entry is forgotten, a function of the caller is given it and gives its weight.
///
/// Secrets are numbered, and the caller makes each from its number, so that a client takes little memory.
#[derive(Clone, Debug)]
pub struct ServerEnd<M> {
    counts: Counts<M>,
    /// The number of the newest secret that the client has shown to have, or `None` before it has shown any.
    proven: Option<NonZeroU32>,
    /// The number of the secret of the last init, which may have been lost on its way.
    latest: NonZeroU32,
}

/// The positions of a client in both directions, without what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The number of messages that the page was sent, those included that wait for it.
    pub sent: u64,
    /// The number of messages that the page has said that it has seen.
    pub seen: u64,
    /// The number of the page's messages that were taken.
    pub taken: u64,
}

impl<M> ServerEnd<M> {
    /// Begins a client's life with the secret of its first init.
    pub fn new(secret: NonZeroU32) -> Self {
        Self { counts: Counts::default(), proven: None, latest: secret }
    }

    /// Takes over a client from another process, with the entries that it keeps, each with the number of its messages and its weight.
    /// `proven` is the number that the caller gives the oldest secret that is still good, and `latest` that of the newest. Gives `None`, and the entries to `release`, where the positions contradict the entries.
    pub fn taken_over(
        positions: Positions,
        entries: Vec<(M, u32, usize)>,
        proven: NonZeroU32,
        latest: NonZeroU32,
        mut release: impl FnMut(M) -> usize,
    ) -> Option<Self> {
        let Positions { sent, seen, taken } = positions;
        let messages = entries.iter().map(|(_, messages, _)| u64::from(*messages)).sum();
        let first = sent.checked_sub(messages).filter(|first| (*first..=sent).contains(&seen));
        let Some(first) = first else {
            for (entry, ..) in entries {
                release(entry);
            }
            return None;
        };
        let mut counts = Counts::restored(first, taken, seen);
        for (entry, messages, weight) in entries {
            counts.push(entry, messages, weight, &mut release);
        }
        Some(Self { counts, proven: Some(proven), latest })
    }

    /// Gives this end whole, for another process of the same node; `entry` is given each entry and gives what stands for it there.
    pub fn export<E>(&self, entry: impl FnMut(&M) -> E) -> ExportedEnd<E> {
        ExportedEnd { counts: self.counts.export(entry), proven: self.proven, latest: self.latest }
    }

    /// Takes over an end that another process of the same node has exported; `entry` gives an entry and its weight for each that was
    /// exported. Times are counted from the same moment as there, and [`ServerEnd::note`] gives its time anew. Gives `None` where the
    /// numbers contradict each other, or where `entry` gives `None`.
    pub fn imported<E>(exported: ExportedEnd<E>, entry: impl FnMut(E) -> Option<(M, usize)>) -> Option<Self> {
        let ExportedEnd { counts, proven, latest } = exported;
        Some(Self { counts: Counts::imported(counts, entry)?, proven, latest })
    }

    /// The positions in both directions.
    pub fn positions(&self) -> Positions {
        let counts = &self.counts;
        Positions { sent: counts.sent(), seen: counts.seen(), taken: counts.taken() }
    }

    /// The number of messages to the page that were sent, or that wait while the client is parked.
    pub fn sent(&self) -> u64 {
        self.counts.sent()
    }

    /// The number of messages that are kept to be sent again.
    pub fn kept(&self) -> u64 {
        self.counts.kept()
    }

    /// Whether more than one entry is kept.
    pub fn has_several(&self) -> bool {
        self.counts.entries_len() > 1
    }

    /// What everything that is kept weighs, in bytes.
    pub fn weight(&self) -> usize {
        self.counts.weight()
    }

    /// The memory that the client takes beside this record and what it keeps, in bytes.
    pub fn memory(&self) -> usize {
        self.counts.memory()
    }

    /// Why the client cannot be resumed, if it cannot.
    pub fn gap(&self) -> Option<GapReason> {
        self.counts.gap()
    }

    /// The entries that the page has not said that it has seen, each with the number of its messages, and the number of messages
    /// at the start of the first entry that it has seen.
    pub fn unseen(&self) -> (u64, impl Iterator<Item = &(M, u32)>) {
        (self.counts.seen().saturating_sub(self.counts.first()), self.counts.entries())
    }

    /// The number of messages that the page has not said that it has seen.
    pub fn missed(&self) -> u64 {
        self.counts.sent() - self.counts.seen()
    }

    /// Keeps messages that are sent now, or that wait while the client is parked. `weight` is the memory that they take, in bytes.
    pub fn send(&mut self, entry: M, messages: u32, weight: usize, release: impl FnOnce(M) -> usize) {
        self.counts.push(entry, messages, weight, release);
    }

    /// Forgets the oldest entry. A page that has not seen it cannot be resumed.
    pub fn forget_oldest(&mut self, release: impl FnMut(M) -> usize) {
        self.counts.forget_oldest(release);
    }

    /// Makes it impossible to resume the client from now on. A reason that was given before stays.
    pub fn end(&mut self, reason: GapReason, release: impl FnMut(M) -> usize) {
        self.counts.end(reason, release);
    }

    /// Takes a text message of the page.
    pub fn receive<'a>(
        &mut self,
        text: &'a str,
        now: Duration,
        release: impl FnMut(M) -> usize,
    ) -> Result<Received<'a>, ControlError> {
        self.proven = Some(self.latest);
        self.counts.receive(text, now, SeenAfter::SERVER, release)
    }

    /// Takes a message of the page that is the application's: a binary one, or text that cannot be control. Gives the control
    /// message that is sent to the page.
    pub fn take(&mut self, bytes: usize, now: Duration) -> Option<Control> {
        self.proven = Some(self.latest);
        self.counts.take(bytes, now, SeenAfter::SERVER)
    }

    /// Gives the time at which [`ServerEnd::due`] wants to be called, if the caller has not been given it yet.
    pub fn note(&mut self) -> Option<Duration> {
        self.counts.note()
    }

    /// Gives the control message that is due because a message has waited for long.
    pub fn due(&mut self, now: Duration) -> Option<Control> {
        self.counts.due(now)
    }

    /// The number of the secret that the last init has brought, or brings.
    pub fn latest_secret(&self) -> NonZeroU32 {
        self.latest
    }

    /// The number of the page's messages that were taken, for an init.
    pub fn taken(&mut self) -> u64 {
        match self.counts.tell() {
            Control::Seen(taken) => taken,
            _ => 0,
        }
    }

    /// The numbers of the secrets by which the page may come back, the oldest first.
    pub fn good_secrets(&self) -> Vec<NonZeroU32> {
        let mut good: Vec<_> = self.good().collect();
        good.reverse();
        good
    }

    /// Says whether [`ServerEnd::resume`] would let the page come back.
    pub fn check(
        &self,
        offer: &ResumeOffer,
        secret: impl Fn(NonZeroU32) -> ResumeSecret,
    ) -> Result<(), GapReason> {
        self.shown(offer, secret)?;
        if let Some(reason) = self.gap() {
            return Err(reason);
        }
        if offer.seen > self.counts.sent() {
            return Err(GapReason::Unknown);
        }
        // What the page asks for was forgotten, as it said that it had seen it, or because too much was kept.
        if offer.seen < self.counts.seen().max(self.counts.first()) {
            return Err(GapReason::Overflow);
        }
        Ok(())
    }

    /// Lets a page come back on a new connection, whose init brings the secret of the number after [`ServerEnd::latest_secret`].
    /// What it missed is then [`ServerEnd::unseen`]. On an error nothing has changed.
    ///
    /// The secret of the last init is good, and so is the newest one that the page has shown, as that init may have been lost on
    /// its way. So are the secrets of the inits between, as attempts of the page can overtake each other: it may have got an init, and
    /// then an attempt that it made before takes its connection away before anything that it says there is read.
    pub fn resume(
        &mut self,
        offer: &ResumeOffer,
        secret: impl Fn(NonZeroU32) -> ResumeSecret,
        release: impl FnMut(M) -> usize,
    ) -> Result<(), GapReason> {
        self.check(offer, &secret)?;
        let shown = self.shown(offer, secret)?;
        self.counts.forget_seen(offer.seen, release).map_err(|lie| match lie {
            SeenError::BeyondSent { .. } => GapReason::Unknown,
            SeenError::Backwards { .. } => GapReason::Overflow,
        })?;
        self.proven = Some(shown);
        self.latest = self.latest.checked_add(1).unwrap_or(NonZeroU32::MIN);
        Ok(())
    }

    /// The number of the good secret that the page shows.
    fn shown(
        &self,
        offer: &ResumeOffer,
        secret: impl Fn(NonZeroU32) -> ResumeSecret,
    ) -> Result<NonZeroU32, GapReason> {
        self.good().find(|number| secret(*number) == offer.secret).ok_or(GapReason::Unknown)
    }

    /// The numbers of the good secrets, the newest first.
    fn good(&self) -> impl Iterator<Item = NonZeroU32> + use<M> {
        let proven = self.proven.unwrap_or(self.latest);
        let newest = std::iter::successors(Some(self.latest), |number| Some(before(*number)));
        newest.take_while(move |number| *number != proven).take(MOST_UNSHOWN).chain([proven])
    }
}

/// The largest number of secrets that are good though the page has not shown them. It bounds what looking for one costs.
const MOST_UNSHOWN: usize = 16;

/// The number of the secret before this one.
fn before(number: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(number.get() - 1).unwrap_or(NonZeroU32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientId;

    fn secret(number: NonZeroU32) -> ResumeSecret {
        ResumeSecret::new(ClientId::new("127.0.0.1:1238".parse().unwrap(), 7), [number.get() as u8; 16])
    }

    fn offer(number: u32, seen: u64) -> ResumeOffer {
        ResumeOffer { secret: secret(number.try_into().unwrap()), seen }
    }

    fn server() -> ServerEnd<char> {
        ServerEnd::new(NonZeroU32::MIN)
    }

    fn resume(server: &mut ServerEnd<char>, number: u32, seen: u64) -> Result<(), GapReason> {
        server.resume(&offer(number, seen), secret, |_| 1)
    }

    #[test]
    fn the_old_secret_is_good_until_the_page_shows_that_it_has_the_new_one() {
        let mut server = server();
        // The init with secret 2 is lost, and so is that with secret 3.
        resume(&mut server, 1, 0).unwrap();
        resume(&mut server, 1, 0).unwrap();
        resume(&mut server, 3, 0).unwrap();
        assert_eq!(resume(&mut server, 1, 0), Err(GapReason::Unknown));
        assert_eq!(resume(&mut server, 2, 0), Err(GapReason::Unknown));
        server.receive("gateway:seen 0", Duration::ZERO, |_| 1).unwrap();
        assert_eq!(resume(&mut server, 3, 0), Err(GapReason::Unknown));
        resume(&mut server, 4, 0).unwrap();
    }

    #[test]
    fn attempts_that_overtake_each_other_lock_nobody_out() {
        let mut server = server();
        resume(&mut server, 1, 0).unwrap();
        // The page has got the init with secret 2. An attempt that it had made before comes late.
        resume(&mut server, 1, 0).unwrap();
        resume(&mut server, 2, 0).unwrap();
        assert_eq!(resume(&mut server, 1, 0), Err(GapReason::Unknown));
        // Who comes again and again with the same secret makes the list of good ones no longer than its bound.
        for _ in 0..100 {
            resume(&mut server, 2, 0).unwrap();
        }
        let latest = server.latest_secret().get();
        assert_eq!(resume(&mut server, latest - MOST_UNSHOWN as u32, 0), Err(GapReason::Unknown));
        resume(&mut server, latest - MOST_UNSHOWN as u32 + 1, 0).unwrap();
        // Numbers begin again after the last one.
        let mut server = ServerEnd::<char>::new(NonZeroU32::MAX);
        resume(&mut server, u32::MAX, 0).unwrap();
        resume(&mut server, u32::MAX, 0).unwrap();
        assert_eq!(server.latest_secret().get(), 2);
        resume(&mut server, 1, 0).unwrap();
        assert_eq!(server.good_secrets().iter().map(|number| number.get()).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_false_count_is_no_resume_and_changes_nothing() {
        let mut server = server();
        server.send('a', 1, 1, |_| 1);
        server.send('b', 1, 1, |_| 1);
        server.receive("gateway:seen 1", Duration::ZERO, |_| 1).unwrap();
        assert_eq!(resume(&mut server, 1, 3), Err(GapReason::Unknown));
        assert_eq!(resume(&mut server, 1, 0), Err(GapReason::Overflow));
        resume(&mut server, 1, 1).unwrap();
        let (skip, entries) = server.unseen();
        assert_eq!((skip, entries.collect::<Vec<_>>()), (0, vec![&('b', 1)]));
        let mut receive = |text| server.receive(text, Duration::ZERO, |_| 1);
        assert!(matches!(receive("gateway:seen 7"), Err(ControlError::Seen(_))));
        assert!(matches!(receive("gateway:seen x"), Err(ControlError::Malformed(_))));
    }

    #[test]
    fn a_page_may_have_seen_a_part_of_what_was_joined_and_more_than_it_has_said() {
        let mut server = server();
        server.send('a', 2, 10, |_| 10);
        server.send('b', 3, 10, |_| 10);
        server.forget_oldest(|_| 10);
        assert_eq!((server.sent(), server.missed(), server.weight()), (5, 5, 10));
        assert_eq!(resume(&mut server, 1, 1), Err(GapReason::Overflow));
        server.resume(&offer(1, 3), secret, |_| 10).unwrap();
        let (skip, entries) = server.unseen();
        assert_eq!((skip, entries.count()), (1, 1));
        assert_eq!(server.missed(), 2);
        server.end(GapReason::Raw, |_| 10);
        assert_eq!(resume(&mut server, 2, 3), Err(GapReason::Raw));
        assert_eq!(resume(&mut server, 7, 3), Err(GapReason::Unknown));
    }

    #[test]
    fn another_process_goes_on_with_what_the_first_one_kept() {
        let mut first = server();
        first.send('a', 3, 10, |_| 10);
        first.send('b', 2, 10, |_| 10);
        first.receive("gateway:seen 1", Duration::ZERO, |_| 10).unwrap();
        first.take(1, Duration::ZERO);
        let positions = first.positions();
        assert_eq!(positions, Positions { sent: 5, seen: 1, taken: 1 });
        let number = |number: u32| number.try_into().unwrap();
        let take_over = |positions, released: &mut Vec<char>| {
            let entries = vec![('a', 3, 10), ('b', 2, 10)];
            ServerEnd::taken_over(positions, entries, number(7), number(8), |entry| {
                released.push(entry);
                10
            })
        };
        let mut released = Vec::new();
        let mut second = take_over(positions, &mut released).unwrap();
        assert_eq!((second.positions(), second.weight(), second.kept()), (positions, 20, 5));
        resume(&mut second, 7, 4).unwrap();
        assert_eq!((second.missed(), second.taken(), second.latest_secret()), (1, 1, number(9)));
        for (sent, seen) in [(4, 1), (5, 6), (10, 4)] {
            released.clear();
            assert!(take_over(Positions { sent, seen, taken: 0 }, &mut released).is_none());
            assert_eq!(released, ['a', 'b']);
        }
    }

    #[test]
    fn a_process_takes_over_the_whole_end_of_another() {
        let mut first = server();
        resume(&mut first, 1, 0).unwrap();
        for (entry, messages) in [('a', 3), ('b', 2), ('c', 1)] {
            first.send(entry, messages, 10, |_| 10);
        }
        first.forget_oldest(|_| 10);
        first.take(100, Duration::from_secs(7));
        assert_eq!(first.note(), Some(Duration::from_secs(12)));
        let take_over = |exported: ExportedEnd<String>| {
            ServerEnd::imported(exported, |entry| Some((entry.chars().next()?, 10)))
        };
        let exported = first.export(char::to_string);
        let mut second: ServerEnd<char> = take_over(exported.clone()).unwrap();
        assert_eq!(second.export(char::to_string).counts.sent, 6);
        assert_eq!((second.positions(), second.weight(), second.kept()), (first.positions(), 20, 3));
        assert_eq!((second.good_secrets(), second.gap()), (first.good_secrets(), None));
        // The time is given anew, as the list of such times stays behind.
        assert_eq!(second.note(), Some(Duration::from_secs(12)));
        assert_eq!(second.due(Duration::from_secs(12)), Some(Control::Seen(1)));
        assert_eq!(resume(&mut second, 2, 2), Err(GapReason::Overflow));
        resume(&mut second, 2, 5).unwrap();
        first.end(GapReason::Raw, |_| 10);
        assert_eq!(take_over(first.export(char::to_string)).unwrap().gap(), Some(GapReason::Raw));

        let open = |change: fn(&mut ExportedEnd<String>)| {
            let mut exported = exported.clone();
            change(&mut exported);
            take_over(exported)
        };
        assert!(open(|end| end.counts.sent = 2).is_none());
        assert!(open(|end| end.counts.sent = u64::MAX).is_none());
        assert!(open(|end| end.counts.taken = u64::MAX).is_none());
        assert!(open(|end| end.counts.open.iter_mut().for_each(|open| open.seen = 7)).is_none());
        assert!(
            open(|end| end.counts.open.iter_mut().for_each(|open| open.gap = Some(GapReason::Raw))).is_none()
        );
        assert!(open(|end| end.counts.open.iter_mut().for_each(|open| open.entries[0].0.clear())).is_none());
    }

    #[test]
    fn control_is_answered_and_not_counted() {
        let mut server = server();
        for (text, message, reply) in [
            ("gateway:ping", None, Some(Control::Pong)),
            ("gateway:later", None, None),
            ("gateway:pong", None, None),
            ("gateway:=later x", None, None),
            ("gateway:= gateway:ping", Some("gateway:ping"), None),
            ("hello", Some("hello"), None),
        ] {
            let received = server.receive(text, Duration::ZERO, |_| 1);
            assert_eq!(received, Ok(Received { message, header: None, reply }), "{text}");
        }
        assert_eq!(server.take(SeenAfter::SERVER.bytes, Duration::ZERO), Some(Control::Seen(4)));
        assert_eq!((server.taken(), server.due(Duration::from_secs(60))), (4, None));
    }

    #[test]
    fn an_idle_client_takes_32_bytes() {
        assert_eq!(size_of::<ServerEnd<u32>>(), 32);
        assert_eq!((size_of::<Option<ServerEnd<u32>>>(), server().memory()), (32, 0));
    }
}
