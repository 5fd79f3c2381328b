//! Frames in and out of a connection from PHP.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gateway_wire::bridge::frame::{self, FrameTooLarge};
use gateway_wire::bridge::{Reply, ServerToWorker};
use socket2::Domain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::php::fair_share::Share;
use crate::php::login_limits;
use crate::php::memory_budget::{self, Held, ReadSize, Revoked};
use crate::php::stream::Stream;
use crate::service::Answers;
use crate::shard::Stopped;
use crate::system::memory_reserve::NoMemory;
use crate::system::unacknowledged::unacknowledged;

/// Why a bridge connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("PHP closed the connection")]
    Closed,
    #[error("PHP opened a newer connection")]
    TakenOver,
    #[error("the server goes on in another process")]
    AtRest,
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("{0}")]
    Io(io::Error),
    #[error("{}", .0.advice("gateway.secret_key or Gateway::$secretKey"))]
    Login(login_limits::Refused),
    #[error(transparent)]
    Revoked(#[from] Revoked),
    #[error("the server has no memory for its calls now: {0}")]
    NoMemory(#[from] NoMemory),
    #[error("{0}")]
    Refused(String),
}

/// Output that is kept for the next answers once it is written.
pub(super) const KEPT: usize = 64 << 10;
/// Bytes of answers that wait for the peer before it is asked to take them: no more is answered meanwhile.
const ENOUGH: usize = 1 << 20;
/// Time after which a connection ends when its peer, while its unread answers count in the memory budget, takes not one byte of
/// them.
const UNTAKEN: Duration = Duration::from_secs(60);
/// Time for which a task polls the socket before it sleeps, when the peer's last question came within this time after an answer.
/// Such a peer will probably ask again at once, and waking a task up takes longer than polling.
const QUICK: Duration = Duration::from_micros(50);
/// Time for the peer's system to acknowledge what was sent before the end: Linux may wait 40 ms with that. And how often it is looked.
const ACKNOWLEDGED: Duration = Duration::from_millis(45);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The buffers of a bridge connection, which reads and writes whole frames.
pub(super) struct Connection {
    pub(super) socket: Box<dyn Stream>,
    input: BytesMut,
    read: ReadSize,
    /// The bytes that the two buffers take in the memory budget of all PHP connections.
    held: Held,
    share: Share,
    output: Vec<u8>,
    /// Number of bytes at the start of `output` that the peer's socket has taken already.
    written: usize,
    /// True when an answer was appended since the last wait for input.
    has_answered: bool,
    /// True when the last question came within `QUICK` after an answer.
    is_quick: bool,
}

/// A query that waits for its answer on this connection.
pub(super) struct Asked<'a> {
    connection: &'a mut Connection,
    seq: u64,
}

impl Answers for Asked<'_> {
    fn answer(&mut self, value: &impl serde::Serialize) {
        self.connection.answer(self.seq, value);
    }

    fn fail(&mut self, message: String) {
        self.connection.reply(&Reply::Error { seq: self.seq, message });
    }
}

impl Connection {
    pub(super) fn new(socket: Box<dyn Stream>, held: Held) -> Self {
        let (input, output) = (BytesMut::new(), Vec::new());
        let read = ReadSize::STRANGER;
        let share = Share::default();
        Self { socket, input, read, held, share, output, written: 0, has_answered: false, is_quick: false }
    }

    /// A connection that goes on with what was read and with what is not written yet.
    pub(super) fn again(socket: Box<dyn Stream>, held: Held, input: &[u8], output: Vec<u8>) -> Self {
        Self { input: BytesMut::from(input), output, ..Self::new(socket, held) }
    }

    /// What was read and is not taken, and what is not written yet.
    pub(super) fn at_rest(&self) -> (&[u8], &[u8]) {
        (&self.input, &self.output[self.written..])
    }

    /// Lets the read buffer grow to the sizes of ordinary use, once the peer has logged in.
    pub(super) fn trust(&mut self) {
        self.read.trust();
    }

    /// Takes the next frame's content out of what was read. Gives `None` while the frame is not complete.
    pub(super) fn read_frame(&mut self, limit: usize) -> Result<Option<Bytes>, Ended> {
        let found = frame::content_length(&self.input, limit);
        let length = found.map_err(|error| Ended::Refused(error.to_string()))?;
        Ok(length.map(|length| self.input.split_to(frame::HEADER + length).freeze().slice(frame::HEADER..)))
    }

    /// Takes all complete frames, headers included, out of what was read. Gives `None` while not even one is complete.
    pub(super) fn read_frames(&mut self, limit: usize) -> Result<Option<Bytes>, Ended> {
        let found = frame::whole_length(&self.input, limit);
        let length = found.map_err(|error| Ended::Refused(error.to_string()))?;
        Ok((length > 0).then(|| self.input.split_to(length).freeze()))
    }

    pub(super) async fn next_frame(&mut self, limit: usize) -> Result<Bytes, Ended> {
        loop {
            if let Some(frame) = self.read_frame(limit)? {
                return Ok(frame);
            }
            self.read_more().await?;
        }
    }

    pub(super) async fn read_more(&mut self) -> Result<(), Ended> {
        self.share.give_way().await;
        self.make_room()?;
        let read = self.held.unless_revoked(self.socket.read_buf(&mut self.input)).await??;
        self.came(read)
    }

    /// Reserves space for the next read. A connection that sends little gives a large buffer back first, so that thousands of
    /// idle ones take little memory.
    fn make_room(&mut self) -> Result<(), Ended> {
        if self.input.is_empty() && self.input.capacity() > 2 * self.read.bytes() {
            self.input = BytesMut::new();
        }
        self.held.set(self.input.len() + self.waiting());
        memory_budget::may_grow(&self.input)?;
        self.input.reserve(self.read.bytes());
        Ok(())
    }

    /// Accounts for `bytes` that were read. Zero bytes mean that the peer has closed its side.
    fn came(&mut self, bytes: usize) -> Result<(), Ended> {
        self.read.came(bytes);
        self.share.charge(bytes);
        if bytes == 0 { Err(Ended::Closed) } else { Ok(()) }
    }

    /// Bytes of answers that are not written yet.
    fn waiting(&self) -> usize {
        self.output.len() - self.written
    }

    /// True when so much was done for this connection in a row that other connections should have their turn.
    pub(super) fn has_had_its_share(&self) -> bool {
        self.share.is_used_up()
    }

    pub(super) async fn give_way(&mut self) {
        self.share.give_way().await;
    }

    /// True when the peer must read its answers before it gets more of them.
    pub(super) fn owes_enough(&self) -> bool {
        self.waiting() >= ENOUGH
    }

    /// Writes the remaining answers, then waits for more input.
    pub(super) async fn flush_and_read(&mut self) -> Result<(), Ended> {
        self.flush().await?;
        if !std::mem::take(&mut self.has_answered) {
            return self.read_more().await;
        }
        let answered = Instant::now();
        if self.is_quick && self.read_soon(answered)? {
            return Ok(());
        }
        self.read_more().await?;
        self.is_quick = answered.elapsed() < QUICK;
        Ok(())
    }

    /// Polls the socket for `QUICK` after `since`. Gives true when bytes came.
    fn read_soon(&mut self, since: Instant) -> Result<bool, Ended> {
        let mut chunk = [0; 2048];
        while since.elapsed() < QUICK {
            match self.socket.read_now(&mut chunk) {
                Ok(0) => return Err(Ended::Closed),
                Ok(length) => {
                    self.input.extend_from_slice(&chunk[..length]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Reads what the system has for a connection that is given up, without waiting. It stops after `ReadSize::MOST` bytes, as a
    /// peer that goes on sending would else never let it end.
    pub(super) fn read_what_is_there(&mut self) {
        let mut chunk = [0; 2048];
        let end = self.input.len() + ReadSize::MOST;
        while self.input.len() < end
            && let Ok(length @ 1..) = self.socket.read_now(&mut chunk)
        {
            self.input.extend_from_slice(&chunk[..length]);
        }
    }

    /// Reads or writes, whichever can be done first. The future can be dropped half-way without losing bytes.
    pub(super) async fn exchange(&mut self) -> Result<(), Ended> {
        self.make_room()?;
        let has_output = self.has_output();
        let (mut reader, mut writer) = tokio::io::split(&mut self.socket);
        let exchanged = async {
            tokio::select! {
                read = reader.read_buf(&mut self.input) => read.map(Some),
                written = writer.write(&self.output[self.written..]), if has_output => {
                    // A peer that has closed its side gets nothing more, so the output counts as written. What the peer sent
                    // before is still read, and then the end of the connection.
                    self.written = written.map_or(self.output.len(), |written| self.written + written);
                    Ok(None)
                }
            }
        };
        if let Some(read) = self.held.unless_revoked(exchanged).await?? {
            return self.came(read);
        }
        if self.written == self.output.len() {
            self.clear_output();
        }
        Ok(())
    }

    /// True while bytes wait to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Where more can be appended to what waits to be written.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) fn tell(&mut self, told: &ServerToWorker<'_>) -> Result<(), FrameTooLarge> {
        told.encode(&mut self.output).inspect_err(|_| self.output.shrink_to(KEPT))
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        if let Err(error) = reply.encode(&mut self.output) {
            self.reply_too_large(0, &error);
        }
    }

    /// Gives the receiver for the answer to the query with the number `seq`.
    pub(super) fn asked(&mut self, seq: u64) -> Asked<'_> {
        Asked { connection: self, seq }
    }

    fn answer(&mut self, seq: u64, value: &impl serde::Serialize) {
        self.has_answered = true;
        let before = self.output.len();
        if let Err(error) = Reply::encode_answer(seq, value, &mut self.output) {
            self.reply_too_large(seq, &error);
        }
        self.share.charge(self.output.len() - before);
    }

    fn reply_too_large(&mut self, seq: u64, error: &FrameTooLarge) {
        // Encoding this cannot fail, as the text is far below the limit of a frame.
        let _ = Reply::Error { seq, message: format!("the answer is too large: {error}") }
            .encode(&mut self.output);
    }

    /// Writes all answers that wait. The future can be dropped half-way without losing bytes.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        while self.waiting() > 0 {
            self.held.set(self.input.len() + self.waiting());
            let write = self.socket.write(&self.output[self.written..]);
            let written = if self.held.is_counted() {
                // Only connections with many unread answers get a deadline for each write: a timer would cost too much for the
                // short answers of ordinary use.
                let written = self.held.unless_revoked(tokio::time::timeout(UNTAKEN, write)).await?;
                written.map_err(|_| {
                    Ended::Refused(format!("it has taken nothing of its answers for {UNTAKEN:?}"))
                })?
            } else {
                write.await
            };
            match written? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                written => self.written += written,
            }
        }
        self.clear_output();
        Ok(())
    }

    fn clear_output(&mut self) {
        self.written = 0;
        self.output.clear();
        self.output.shrink_to(KEPT);
    }

    /// Waits for a moment until the peer's system has acknowledged what was sent. Where Linux is short of memory for TCP it sends no end of
    /// a connection behind bytes that are not acknowledged, but puts it into their segment as if it had gone with that. Then the peer hears
    /// of it when the segment is sent again, after 200 ms.
    pub(super) async fn acknowledged(&mut self) {
        let Ok(socket) = self.socket.duplicate() else { return };
        let is_tcp = !matches!(socket.domain(), Ok(Domain::UNIX));
        let until = Instant::now() + ACKNOWLEDGED;
        while is_tcp && unacknowledged(&socket) > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Writes the remaining answers and waits until the peer has closed its side. Closing a socket that has unread input resets
    /// the connection, which would destroy the answers on their way.
    pub(super) async fn say_goodbye(&mut self) -> Result<(), Ended> {
        self.flush().await?;
        self.socket.shutdown().await?;
        loop {
            self.input.clear();
            self.read_more().await?;
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}
