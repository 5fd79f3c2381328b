//! How a shard writes: each client gets everything that a turn has brought it by one write, and what its socket refuses waits in
//! its outbox. A turn is one pass of the shard's poll loop.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsFd as _;

use bytes::Bytes;
use gateway_wire::client_protocol::GapReason;
use mio::net::TcpStream;
use smallvec::SmallVec;

use super::backlog::Backlog;
use super::clients::Clients;
use super::connection::{Connection, Phase};
use super::outbox::{is_pong, write_one, write_some};
use super::ringing::Rung;
use super::state::Shard;
use super::tls::TlsSocket;
use super::uring::{self, Outcome, Send};
use super::write_batch::FrameList;
use crate::protocol::close::Close;
use crate::protocol::{Encoding, websocket};
use crate::system::injected_faults;
use crate::system::memory_reserve::{self, NoMemory};

/// The largest number of slices in one vectored write. More frames for one client go out in several writes.
const SLICES: usize = 32;
/// The number of clients whose records are looked up before these clients are written to. The processor fetches the records of all of them
/// at the same time; each write pushes out of its caches what it has fetched before.
const KEEP_AT_ONCE: usize = 16;

impl Shard {
    /// Adds a frame to what the client gets in this turn.
    pub(super) fn send(&mut self, key: usize, frame: Bytes) {
        let frame = self.turn.add_frame(frame);
        self.turn.link(key, &mut self.clients.connections[key].pending, frame);
    }

    /// Writes to some clients, through io_uring where it is there and worthwhile.
    pub(super) fn write_some_of_turn(&mut self, keys: &[usize]) {
        let mut plain: SmallVec<[usize; uring::AT_ONCE]> = SmallVec::new();
        let mut secured: SmallVec<[usize; uring::AT_ONCE]> = SmallVec::new();
        let mut rung: SmallVec<[Rung; uring::AT_ONCE]> = SmallVec::new();
        if let Some(ring) = self.ring.as_mut().filter(|_| keys.len() >= uring::WORTHWHILE) {
            let mut sends: SmallVec<[Send<'_>; uring::AT_ONCE]> = SmallVec::new();
            for key in keys {
                let Some(connection) = self.clients.connections.get(*key) else { continue };
                match self.turn.only_frame(connection.pending) {
                    Some(bytes)
                        if connection.takes_plain_sends()
                            && let Some(socket) = &connection.socket =>
                    {
                        sends.push(Send { socket: socket.as_fd(), bytes });
                        rung.push((*key, None));
                    }
                    _ if connection.is_tls => secured.push(*key),
                    _ => plain.push(*key),
                }
            }
            let (outcomes, result) = ring.send(&sends);
            drop(sends);
            rung.iter_mut().zip(outcomes).for_each(|((_, outcome), became)| *outcome = *became);
            self.after_ring(result);
        } else {
            plain.extend_from_slice(keys);
        }
        if !secured.is_empty() {
            self.ring_for_secured(&secured, &mut rung);
        }
        for keys in plain.chunks(KEEP_AT_ONCE) {
            if self.clients.resume.has_records() {
                for key in keys {
                    self.write_for_client(*key, |shard| _ = shard.keep_of_turn(*key));
                }
            }
            for key in keys {
                self.write_for_client(*key, |shard| shard.write_pending(*key, None));
            }
        }
        for (key, outcome) in rung {
            if !self.note_sent(key, outcome) {
                self.write_for_client(key, |shard| {
                    if shard.keep_of_turn(key) {
                        shard.write_pending(key, outcome);
                    }
                });
            }
        }
    }

    /// Notes that io_uring has sent all that the turn has brought a client for which nothing else is to be done. Gives false for the
    /// others, which few are.
    fn note_sent(&mut self, key: usize, outcome: Option<Outcome>) -> bool {
        let (Some(connection), Some(Ok(sent))) =
            (self.clients.connections.get_mut(key), outcome.map(usize::try_from))
        else {
            return false;
        };
        let is_all = self.turn.only_frame(connection.pending).is_some_and(|frame| frame.len() == sent);
        if !is_all || connection.phase != Phase::Open || connection.is_tls && connection.has_sealed() {
            return false;
        }
        let chain = std::mem::replace(&mut connection.pending, FrameList::EMPTY);
        if connection.encoding.is_gateway2() {
            let listener = &self.settings.listeners[usize::from(connection.listener)];
            // It is refused only for a client that is parked.
            self.clients.resume.keep(key, &mut self.turn, chain, listener);
        }
        self.clients.counts.bytes_out += sent as u64;
        true
    }

    /// Keeps what the turn has brought a client that counts messages. Gives false for one that has no room for it and so has come to its
    /// end: it is parked. It is called once a turn for each client, ahead of the writes to others too, none of which ends another client.
    fn keep_of_turn(&mut self, key: usize) -> bool {
        let Clients { connections, resume, .. } = &mut self.clients;
        let Some(connection) = connections.get(key).filter(|one| one.encoding.is_gateway2()) else {
            return true;
        };
        let listener = &self.settings.listeners[usize::from(connection.listener)];
        let fits = resume.keep(key, &mut self.turn, connection.pending, listener);
        if !fits {
            self.end_parked(key, GapReason::Overflow);
        }
        fits
    }

    /// Writes what the turn has brought a client, which is kept by now if it has to be. `first` is the outcome of its first send, if that
    /// was made through io_uring; through TLS it is how many bytes of its frames were sealed for that.
    fn write_pending(&mut self, key: usize, first: Option<Outcome>) {
        injected_faults::strike("write");
        let Clients { connections, held, .. } = &mut self.clients;
        let Some(connection) = connections.get_mut(key) else { return };
        let chain = std::mem::replace(&mut connection.pending, FrameList::EMPTY);
        let limits = &self.settings.listeners[usize::from(connection.listener)];
        if !connection.is_connected() {
            return;
        }
        let outbox_bytes = limits.outbox_bytes;
        let mut written = 0;
        let result =
            write_frames(connection, first, self.turn.frames(chain), outbox_bytes, held, &mut written);
        self.clients.counts.bytes_out += written as u64;
        match result {
            Ok(waits) => {
                // A socket of which nobody would say when it takes more has to go.
                if waits && self.clients.wait_for_room(key, &self.registry).is_err() {
                    return self.lose(key, true);
                }
                self.after_write(key);
            }
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                self.close_slow(key, &error);
            }
            Err(_) => self.lose(key, true),
        }
    }

    /// Writes what waits in a client's outbox, as far as its socket takes it.
    pub(super) fn write_outbox(&mut self, key: usize) {
        let Clients { connections, held, .. } = &mut self.clients;
        let connection = &mut connections[key];
        if connection.is_tls {
            return self.write_tls(key);
        }
        if let (Some(socket), Some(outbox)) = connection.socket_and_outbox()
            && !outbox.is_empty()
        {
            let waiting = outbox.bytes();
            if outbox.write_to(socket, held).is_err() {
                return self.lose(key, false);
            }
            let left = outbox.bytes();
            connection.slim();
            self.count_written(key, waiting, left);
        }
        self.after_write(key);
    }

    /// Writes like [`Shard::write_outbox`] does, through TLS, which may hold encrypted bytes itself.
    fn write_tls(&mut self, key: usize) {
        let Clients { connections, held, .. } = &mut self.clients;
        if let Some((mut tls, outbox)) = connections[key].tls() {
            let waiting = outbox.bytes();
            if tls.flush().and_then(|()| outbox.write_to(&mut tls, held)).is_err() {
                return self.lose(key, false);
            }
            if tls.has_sent() {
                outbox.moved();
            }
            let left = outbox.bytes();
            self.count_written(key, waiting, left);
        }
        self.after_write(key);
    }

    /// Counts the bytes that were written: `waiting` bytes waited before, of which `left` are left.
    fn count_written(&mut self, key: usize, waiting: usize, left: usize) {
        self.clients.counts.bytes_out += (waiting - left) as u64;
        if left == 0 {
            self.clients.no_longer_slow(key);
            let connection = &mut self.clients.connections[key];
            connection.has_caught_up = connection.phase != Phase::Open;
        }
    }

    /// Takes the close of a connection further once everything is written.
    pub(super) fn after_write(&mut self, key: usize) {
        let connection = &mut self.clients.connections[key];
        if !connection.is_written() {
            return;
        }
        if connection.phase == Phase::Discarding
            && let Some((mut tls, _)) = connection.tls()
            && !tls.finish()
        {
            return;
        }
        match connection.phase {
            Phase::Finishing => self.drop_connection(key),
            // Shutting the sending side tells the peer that nothing more comes. The socket closes when the peer closes it too, or
            // when its time is over.
            Phase::Discarding => {
                // The shutdown must happen once only, as each one makes the kernel report an event for the socket.
                connection.phase = Phase::Shut;
                let _ = connection.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Write));
            }
            Phase::Open | Phase::Closing | Phase::Shut | Phase::Parked => {}
        }
    }
}

/// The last bytes for a client. For a protocol without a close frame these are no bytes, which are written like others so that
/// the end of the connection follows.
pub(super) fn farewell(encoding: Encoding, close: Close) -> Bytes {
    if encoding.is_websocket() { websocket::close(close) } else { Bytes::new() }
}

/// Writes straight to the socket, unless bytes wait in the outbox already. What the kernel refuses goes into the outbox. Adds the
/// bytes that the socket took to `written`, and gives whether something waits.
fn write_frames<'a>(
    connection: &mut Connection,
    first: Option<Outcome>,
    mut frames: impl Iterator<Item = &'a Bytes>,
    outbox_bytes: usize,
    held: &mut Backlog,
    written: &mut usize,
) -> io::Result<bool> {
    let unwritten = if connection.has_outbox() {
        Some(Unwritten::default())
    } else if connection.is_tls {
        let Some((mut tls, _)) = connection.tls() else { return Ok(false) };
        match first {
            Some(sealed) => behind_sealed(&mut tls, sealed as usize, &mut frames, written)?,
            None => write_now(&mut tls, &mut frames, written)?,
        }
    } else {
        let Some(socket) = &mut connection.socket else { return Ok(false) };
        write_now(&mut Sent { first, socket }, &mut frames, written)?
    };
    let Some((rest, taken)) = unwritten else { return Ok(false) };
    let may_be_pongs = connection.encoding.is_websocket();
    let is_open = connection.phase == Phase::Open;
    let outbox = &mut connection.extra_mut().outbox;
    let mut frames = rest.into_iter().chain(frames.cloned());
    if taken > 0
        && let Some(begun) = frames.next()
    {
        outbox.push_begun(begun, taken, held);
    }
    for frame in frames {
        if may_be_pongs && is_pong(&frame) {
            outbox.push_pong(frame, held);
            continue;
        }
        // Only what waits already is held against the bound, and not the frame itself, as one message may be larger than the
        // bound. A closing client gets everything that belongs to its close.
        if is_open && outbox.cost() > outbox_bytes {
            let reason = format!("{} bytes wait for it already (outbox_bytes)", outbox.cost());
            return Err(io::Error::new(ErrorKind::StorageFull, reason));
        }
        if is_open && memory_reserve::is_short() {
            return Err(io::Error::new(ErrorKind::StorageFull, NoMemory));
        }
        outbox.push(frame, held);
    }
    Ok(true)
}

/// A socket whose first send may have been made through io_uring.
struct Sent<'a> {
    first: Option<Outcome>,
    socket: &'a mut TcpStream,
}

impl Write for Sent<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.first.take() {
            Some(outcome) => usize::try_from(outcome).map_err(|_| io::Error::from_raw_os_error(-outcome)),
            None => self.socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The frames that a socket did not take as a whole, and the number of bytes that it took of the first of them. It is small, as each
/// delivery hands one on, mostly an empty one.
type Unwritten = (Vec<Bytes>, usize);

/// Writes until all frames are written, which gives `None`, or until the socket takes no more.
fn write_now<'a>(
    socket: &mut impl Write,
    frames: &mut impl Iterator<Item = &'a Bytes>,
    total: &mut usize,
) -> io::Result<Option<Unwritten>> {
    loop {
        let batch: SmallVec<[&Bytes; SLICES]> = frames.take(SLICES).collect();
        let written = match &*batch {
            [] => return Ok(None),
            // A plain send costs the kernel less than a vectored one.
            [frame] => write_one(socket, frame)?,
            _ => {
                let slices: SmallVec<[IoSlice; SLICES]> =
                    batch.iter().map(|frame| IoSlice::new(frame)).collect();
                write_some(socket, &slices)?
            }
        };
        *total += written.unwrap_or(0);
        if written != Some(batch.iter().map(|frame| frame.len()).sum()) {
            return Ok(Some(unwritten(&batch, written.unwrap_or(0))));
        }
    }
}

/// Writes what io_uring has left of bytes that TLS has sealed. `taken` bytes of the frames are among these, which are all as a rule.
/// It is kept apart, so that the stack of clients without TLS stays small.
#[inline(never)]
fn behind_sealed<'a>(
    tls: &mut TlsSocket<'_>,
    taken: usize,
    frames: &mut impl Iterator<Item = &'a Bytes>,
    total: &mut usize,
) -> io::Result<Option<Unwritten>> {
    tls.flush()?;
    *total += taken;
    let mut left = taken;
    while let Some(frame) = frames.next() {
        if frame.len() <= left {
            left -= frame.len();
        } else if left > 0 {
            // TLS takes no more before the socket does.
            return Ok(Some((std::iter::once(frame).chain(frames).cloned().collect(), left)));
        } else {
            return write_now(tls, &mut std::iter::once(frame).chain(frames), total);
        }
    }
    Ok(None)
}

/// What is left of some frames after `written` bytes of them went out.
fn unwritten(mut frames: &[&Bytes], mut written: usize) -> Unwritten {
    while let [frame, rest @ ..] = frames
        && written >= frame.len()
    {
        written -= frame.len();
        frames = rest;
    }
    (frames.iter().map(|frame| (*frame).clone()).collect(), written)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use super::super::audience::{Audience, Except};
    use super::super::command::Command;
    use super::super::testing::{TestShard, arrived, new_connection, settings, stalled};
    use super::*;
    use crate::protocol::{Encoded, close};
    use crate::shard::Origin;

    fn to_all(frame: &'static [u8]) -> Command {
        let to = Audience::All { except: Except::default() };
        Command::Deliver { to, origin: Origin::HERE, frame: Encoded::raw(Bytes::from_static(frame)) }
    }

    #[test]
    fn a_failure_of_io_uring_holds_up_nobody() {
        let mut shard = TestShard::new(settings());
        let mut clients: Vec<_> =
            (1..=20).map(|connection_id| shard.client(connection_id, Encoding::Websocket)).collect();
        let Some(ring) = &mut shard.shard.ring else {
            return println!("SKIPPED a failure of io_uring: this machine does not permit it");
        };
        ring.fails_after = Some(5);
        for frame in [b"first", b"other"] {
            shard.shard.obey_alone(to_all(frame));
            shard.shard.write_turn();
            assert!(shard.shard.ring.is_none());
            for client in &mut clients {
                assert_eq!(arrived(client), frame);
            }
        }
        assert!(shard.shard.clients.slow.is_empty());
    }

    #[test]
    fn a_new_client_under_the_key_of_one_that_this_turn_has_lost_gets_its_messages_once() {
        let mut shard = TestShard::new(settings());
        let mut clients: Vec<_> =
            (1..=20).map(|connection_id| shard.client(connection_id, Encoding::Websocket)).collect();
        if shard.shard.ring.is_none() {
            return println!("SKIPPED a new client under a used key: this machine does not permit io_uring");
        }
        shard.shard.obey_alone(to_all(b"to all"));
        let key = shard.shard.clients.key(7).unwrap();
        shard.shard.drop_connection(key);
        let (new_connection, mut new) = new_connection(Encoding::Websocket);
        shard.shard.obey_alone(Command::Adopt { connection_id: 77, new_connection, identity: None });
        assert_eq!(shard.shard.clients.key(77), Some(key));
        shard.shard.write_turn();
        let init = String::from_utf8_lossy(&arrived(&mut new)).into_owned();
        assert_eq!(init.matches("client_id").count(), 1, "{init}");
        drop(clients.remove(6));
        clients.iter_mut().for_each(|client| assert_eq!(arrived(client), b"to all"));
    }

    #[test]
    fn pings_of_one_who_reads_nothing_cost_nothing() {
        let mut shard = TestShard::new(settings());
        let mut client = stalled(&mut shard, 1);
        let before = shard.shard.clients.held.bytes();
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
        for _ in 0..10 {
            client.write_all(&pings).unwrap();
            for _ in 0..4 {
                shard.turn();
            }
        }
        assert_eq!(shard.shard.clients.counts.bytes_in, 10 * pings.len() as u64);
        let after = shard.shard.clients.held.bytes();
        assert!(after < before + 1000, "{after} after {before}");
        // The client finds all that it was sent, and one pong. The kernel delivers the bytes of its buffer when it likes.
        let mut all = Vec::new();
        let start = Instant::now();
        while !all.ends_with(b"\x8a\0") && start.elapsed() < Duration::from_secs(30) {
            all.extend(arrived(&mut client));
            shard.turn();
        }
        assert_eq!(shard.shard.clients.held.bytes(), 0);
        assert!(all.ends_with(b"xx\x8a\0"), "{:?}", &all[all.len() - 9..]);
    }

    #[test]
    fn a_client_that_stays_after_its_close_gives_a_shard_nothing_to_do() {
        let mut shard = TestShard::new(settings());
        let mut client = shard.client(1, Encoding::Websocket);
        shard.shard.close(shard.shard.clients.key(1).unwrap(), close::TRY_AGAIN, Phase::Discarding);
        shard.shard.write_turn();
        let mut farewell = arrived(&mut client);
        while farewell.is_empty() {
            farewell = arrived(&mut client);
        }
        shard.turn();
        assert_eq!([shard.events_of_turn(), shard.events_of_turn(), shard.events_of_turn()], [0; 3]);
        // The server still reads what the client sends, as the kernel would else answer with a reset, by which the client loses
        // its close frame.
        client.write_all(b"more").unwrap();
        while shard.events_of_turn() == 0 {}
        assert_eq!(shard.events_of_turn(), 0);
        drop(client);
        while !shard.shard.clients.connections.is_empty() {
            shard.turn();
        }
    }

    #[test]
    fn a_list_that_names_all_again_and_again_is_written_in_parts() {
        let mut shard = TestShard::new(settings());
        let mut clients: Vec<_> =
            (1..=200).map(|connection_id| shard.client(connection_id, Encoding::Websocket)).collect();
        let times = 5_000;
        let connection_ids = (0..times).flat_map(|_| 1..=200).collect();
        let (to, frame) = (Audience::Connections(connection_ids), Encoded::raw(Bytes::from_static(b"x")));
        shard.shard.obey_alone(Command::Deliver { to, frame, origin: Origin::HERE });
        // A million receivers at once would take a million links.
        assert!(shard.shard.turn.room() < 300_000, "{} places", shard.shard.turn.room());
        shard.shard.write_turn();
        for client in &mut clients {
            let mut all = arrived(client);
            while all.len() < times {
                shard.turn();
                all.extend(arrived(client));
            }
            assert_eq!(all, b"x".repeat(times));
        }
    }
}
