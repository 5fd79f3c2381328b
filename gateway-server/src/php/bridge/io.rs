//! Frames in and out of a connection from PHP.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gateway_wire::bridge::frame::{self, FrameTooLarge};
use gateway_wire::bridge::{Reply, ServerToWorker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::php::fair_share::Share;
use crate::php::login_limits;
use crate::php::memory_budget::{self, Held, ReadSize, Revoked};
use crate::php::stream::Stream;
use crate::service::Answers;
use crate::shard::Stopped;
use crate::system::memory_reserve::NoMemory;

/// Why a bridge connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("PHP closed the connection")]
    Closed,
    #[error("PHP opened a newer connection")]
    TakenOver,
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
/// How long a peer that is owed much may take none of it.
const UNTAKEN: Duration = Duration::from_secs(60);
/// A peer that has its next question ready so soon after an answer will have another: it is not slept over, since waking
/// up takes longer.
const QUICK: Duration = Duration::from_micros(50);

pub(super) struct Connection {
    pub(super) socket: Box<dyn Stream>,
    input: BytesMut,
    read: ReadSize,
    held: Held,
    share: Share,
    output: Vec<u8>,
    /// How much of `output` is written already.
    written: usize,
    has_answered: bool,
    /// The last question came soon after an answer.
    is_quick: bool,
}

/// A query that came over a connection.
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

    /// The peer has logged in.
    pub(super) fn trust(&mut self) {
        self.read.trust();
    }

    /// The next whole frame that has been read already.
    pub(super) fn read_frame(&mut self, limit: usize) -> Result<Option<Bytes>, Ended> {
        let found = frame::content_length(&self.input, limit);
        let length = found.map_err(|error| Ended::Refused(error.to_string()))?;
        Ok(length.map(|length| self.input.split_to(frame::HEADER + length).freeze().slice(frame::HEADER..)))
    }

    /// All whole frames that have been read already.
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

    /// For the next read. One that says little keeps no large buffer.
    fn make_room(&mut self) -> Result<(), Ended> {
        if self.input.is_empty() && self.input.capacity() > 2 * self.read.bytes() {
            self.input = BytesMut::new();
        }
        self.held.set(self.input.len() + self.waiting());
        memory_budget::may_grow(&self.input)?;
        self.input.reserve(self.read.bytes());
        Ok(())
    }

    /// So much was read; nothing is the end.
    fn came(&mut self, bytes: usize) -> Result<(), Ended> {
        self.read.came(bytes);
        self.share.charge(bytes);
        if bytes == 0 { Err(Ended::Closed) } else { Ok(()) }
    }

    /// Bytes that wait to be written.
    fn waiting(&self) -> usize {
        self.output.len() - self.written
    }

    /// Enough has been answered in a row: others are to have their turn.
    pub(super) fn has_had_its_share(&self) -> bool {
        self.share.is_used_up()
    }

    pub(super) async fn give_way(&mut self) {
        self.share.give_way().await;
    }

    /// Whether the peer has to take what it was answered before it gets more.
    pub(super) fn owes_enough(&self) -> bool {
        self.waiting() >= ENOUGH
    }

    /// Sends what is left to say, then waits for more to read.
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

    /// Looks for more again and again for a short time. Gives whether something came.
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

    /// Reads what has arrived, without waiting and not without end: of a peer whose connection is given up.
    pub(super) fn read_what_is_there(&mut self) {
        let mut chunk = [0; 2048];
        let end = self.input.len() + ReadSize::MOST;
        while self.input.len() < end
            && let Ok(length @ 1..) = self.socket.read_now(&mut chunk)
        {
            self.input.extend_from_slice(&chunk[..length]);
        }
    }

    /// Reads or writes, whichever can be done first. Nothing is lost when it is given up.
    pub(super) async fn exchange(&mut self) -> Result<(), Ended> {
        self.make_room()?;
        let has_output = self.has_output();
        let (mut reader, mut writer) = tokio::io::split(&mut self.socket);
        let exchanged = async {
            tokio::select! {
                read = reader.read_buf(&mut self.input) => read.map(Some),
                written = writer.write(&self.output[self.written..]), if has_output => {
                    // A peer that has gone gets nothing more. What it said before is still to be read, and the end behind it.
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

    /// Something waits to be written.
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

    /// For the answer to the query of this number.
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
        // An error text is far below the limit.
        let _ = Reply::Error { seq, message: format!("the answer is too large: {error}") }
            .encode(&mut self.output);
    }

    /// Writes all that waits. Nothing is lost when it is given up.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        while self.waiting() > 0 {
            self.held.set(self.input.len() + self.waiting());
            let write = self.socket.write(&self.output[self.written..]);
            let written = if self.held.is_counted() {
                // A deadline for each write would be much for the short answers that most are.
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

    /// Sends what is left to say and waits until the peer has closed its side: closing over unread input would destroy
    /// the words on their way.
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
