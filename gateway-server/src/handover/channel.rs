//! The hand-over channel: messages with descriptors between the server that runs and the one that is to follow it.
//!
//! It is a unix stream socket, of which each process has one end. Calls block, and fail when nothing has moved for a while. A
//! message goes in frames of a bounded size; its descriptors go with the first byte of its first frame. Descriptors under way are
//! counted for the user of both processes, so the other end acknowledges each frame that carried some, and only a few such frames are
//! under way. If it were one, each process would wait for the other to get a processor at every frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use smallvec::{SmallVec, smallvec};

use super::frame::{DECISION, HEADER, Header, Kind, MAX_DESCRIPTORS, MAX_PAYLOAD, MalformedHeader};
use crate::system::memory_reserve::{self, NoMemory};

/// How long a call waits for the next byte to move.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of one message, whatever the other end claims.
pub const MAX_MESSAGE: usize = 1 << 30;
/// The bytes that are read at once, for which memory is taken before they are there.
const CHUNK: usize = 256 << 10;
/// The most frames with descriptors that are under way. The kernel permits as many descriptors as the limit of open files, for all
/// processes of the user together; where that is less, fewer frames are.
const MAX_UNDER_WAY: usize = 8;
/// The most messages that are kept while this end waits for an acknowledgement.
const MAX_EARLY: usize = 16;

/// One end of a channel.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    patience: Duration,
    /// The number of frames that carried descriptors and that the other end has yet to acknowledge.
    under_way: usize,
    /// What came while this end waited for an acknowledgement.
    early: VecDeque<Received>,
}

/// A message, and the descriptors that came with it.
#[derive(Debug)]
pub struct Parcel {
    pub bytes: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

/// What the other end has sent.
#[derive(Debug)]
pub enum Received {
    Parcel(Parcel),
    /// The one byte after which the clients belong to the new server.
    Decision,
}

/// Why the channel is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("the other server has closed the channel")]
    Closed,
    #[error("the other server has closed the channel in the middle of a message")]
    ClosedWithin,
    #[error("the other server has done nothing for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("the other server does not speak the language of hand-overs: {0}")]
    Malformed(#[from] MalformedHeader),
    #[error("a frame claims {claimed} descriptors and brings {brought}")]
    Descriptors { claimed: usize, brought: usize },
    #[error(
        "descriptors were lost on the way: the limit of open files is reached, or some came where none belong"
    )]
    LostDescriptors,
    #[error("the other server has acknowledged what was not sent")]
    Acknowledgement,
    #[error("the decision came in the middle of a message")]
    DecisionWithin,
    #[error("the other server sends messages instead of an acknowledgement")]
    NotAcknowledged,
    #[error("a message of more than {MAX_MESSAGE} bytes is not carried")]
    TooLong,
    #[error("a message with {0} descriptors is not carried, as {MAX_DESCRIPTORS} are the most")]
    TooManyDescriptors(usize),
    #[error("{0}")]
    NoMemory(#[from] NoMemory),
    #[error("too many descriptors are under way for this user")]
    TooManyUnderWay,
    #[error("the channel fails: {0}")]
    Io(#[from] io::Error),
}

impl ChannelError {
    /// Whether the other end is gone, as it is when its process has died.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed | Self::ClosedWithin)
    }
}

impl From<rustix::io::Errno> for ChannelError {
    fn from(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            Errno::TOOMANYREFS => Self::TooManyUnderWay,
            other => Self::Io(other.into()),
        }
    }
}

/// Makes a channel: this process's end, and the socket for the other process.
pub(super) fn pair(patience: Duration) -> io::Result<(Channel, OwnedFd)> {
    let (own, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok((Channel::new(own, patience), other))
}

impl Channel {
    /// Makes a channel of a connected unix stream socket.
    pub fn new(socket: OwnedFd, patience: Duration) -> Self {
        Self { socket, patience, under_way: 0, early: VecDeque::new() }
    }

    /// Sends a message. Its bytes may come in several pieces, which the other end gets as one.
    pub fn send(&mut self, pieces: &[&[u8]], descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(ChannelError::TooManyDescriptors(descriptors.len()));
        }
        let mut left: usize = pieces.iter().map(|piece| piece.len()).sum();
        if left > MAX_MESSAGE {
            return Err(ChannelError::TooLong);
        }
        let mut descriptors = descriptors;
        let mut pieces = pieces.iter().copied().filter(|piece| !piece.is_empty());
        let mut piece: &[u8] = &[];
        loop {
            let length = left.min(MAX_PAYLOAD);
            left -= length;
            let kind = if left == 0 { Kind::Last } else { Kind::Part };
            let header = Header { kind, descriptors: descriptors.len(), length }.to_bytes();
            let mut frame: SmallVec<[IoSlice<'_>; 4]> = smallvec![IoSlice::new(&header)];
            let mut in_frame = length;
            while in_frame > 0 {
                if piece.is_empty() {
                    piece = pieces.next().unwrap_or_default();
                }
                let (now, later) = piece.split_at(piece.len().min(in_frame));
                frame.push(IoSlice::new(now));
                in_frame -= now.len();
                piece = later;
            }
            self.send_frame(&mut frame, descriptors)?;
            descriptors = &[];
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// Sends a frame, with its descriptors once so many may be under way.
    fn send_frame(
        &mut self,
        mut frame: &mut [IoSlice<'_>],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        if descriptors.is_empty() {
            return self.write(frame);
        }
        while self.under_way >= MAX_UNDER_WAY {
            self.await_acknowledgement()?;
        }
        let begun = loop {
            match self.begin(frame, descriptors) {
                Err(ChannelError::TooManyUnderWay) if self.under_way > 0 => self.await_acknowledgement()?,
                begun => break begun?,
            }
        };
        self.under_way += 1;
        IoSlice::advance_slices(&mut frame, begun);
        self.write(frame)
    }

    /// Waits for an acknowledgement. Messages that come before it are kept.
    fn await_acknowledgement(&mut self) -> Result<(), ChannelError> {
        let before = self.under_way;
        while self.under_way == before {
            if self.early.len() == MAX_EARLY {
                return Err(ChannelError::NotAcknowledged);
            }
            if let Some(early) = self.read(Some(self.patience))? {
                self.early.push_back(early);
            }
        }
        Ok(())
    }

    /// Sends the decision. An error means that the other end does not get it, ever.
    pub fn send_decision(&mut self) -> Result<(), ChannelError> {
        // One byte is sent or is not: there is no half of it that could leave both ends in doubt.
        self.write(&mut [IoSlice::new(&[DECISION])])
    }

    /// Receives what the other end sends next, and waits for it as long as bytes move.
    pub fn receive(&mut self) -> Result<Received, ChannelError> {
        self.receive_within(Some(self.patience))
    }

    /// Receives what the other end sends next, however long that takes to begin.
    pub fn receive_whenever(&mut self) -> Result<Received, ChannelError> {
        self.receive_within(None)
    }

    /// Waits until the other end has sent something or has closed the channel, unless `other` can be read before. Gives whether it has.
    pub fn wait_unless(&self, other: BorrowedFd<'_>) -> io::Result<bool> {
        use rustix::io::Errno;
        let mut ready = !self.early.is_empty();
        while !ready {
            let mut watched = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&other, PollFlags::IN)];
            match poll(&mut watched, None) {
                Ok(_) if !watched[1].revents().is_empty() => return Ok(false),
                Ok(_) => ready = !watched[0].revents().is_empty(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether the other end is closed and nothing is left to read.
    pub(super) fn is_closed(&self) -> io::Result<bool> {
        use rustix::io::Errno;
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.socket, &mut [0_u8; 1][..], flags) {
            Ok((read, _)) => Ok(read == 0),
            Err(Errno::CONNRESET) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn receive_within(&mut self, patience: Option<Duration>) -> Result<Received, ChannelError> {
        if let Some(early) = self.early.pop_front() {
            return Ok(early);
        }
        loop {
            if let Some(received) = self.read(patience)? {
                return Ok(received);
            }
        }
    }

    /// Reads one message or the decision, or an acknowledgement, which gives `None`.
    fn read(&mut self, patience: Option<Duration>) -> Result<Option<Received>, ChannelError> {
        let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
        let mut is_within = false;
        loop {
            // The first byte alone is read first, since nothing may stand behind that of the decision.
            let mut header = [0; HEADER];
            let patience = if is_within { Some(self.patience) } else { patience };
            let mut brought = Vec::new();
            match self.read_some(&mut header[..1], &mut brought, patience)? {
                0 if is_within => return Err(ChannelError::ClosedWithin),
                0 => return Err(ChannelError::Closed),
                _ => {}
            }
            if header[0] == DECISION {
                return match (is_within, brought.len()) {
                    (true, _) => Err(ChannelError::DecisionWithin),
                    (false, 0) => Ok(Some(Received::Decision)),
                    (false, brought) => Err(ChannelError::Descriptors { claimed: 0, brought }),
                };
            }
            self.read_exactly(&mut header[1..])?;
            let header = Header::from_bytes(header)?;
            if header.descriptors != brought.len() {
                let (claimed, brought) = (header.descriptors, brought.len());
                return Err(ChannelError::Descriptors { claimed, brought });
            }
            if header.kind == Kind::Acknowledgement {
                // Acknowledgements stand between messages alone.
                let left = self.under_way.checked_sub(1).filter(|_| !is_within);
                self.under_way = left.ok_or(ChannelError::Acknowledgement)?;
                return Ok(None);
            }
            if is_within && header.descriptors > 0 {
                return Err(ChannelError::Descriptors { claimed: 0, brought: header.descriptors });
            }
            if bytes.len() + header.length > MAX_MESSAGE {
                return Err(ChannelError::TooLong);
            }
            let end = bytes.len() + header.length;
            while bytes.len() < end {
                let begin = bytes.len();
                let next = (end - begin).min(CHUNK);
                memory_reserve::reserve(&mut bytes, next)?;
                bytes.resize(begin + next, 0);
                self.read_exactly(&mut bytes[begin..])?;
            }
            if !brought.is_empty() {
                descriptors = brought;
                let header = Header { kind: Kind::Acknowledgement, descriptors: 0, length: 0 };
                match self.write(&mut [IoSlice::new(&header.to_bytes())]) {
                    // What it has sent before its end counts nevertheless.
                    Err(error) if error.is_end() => {}
                    written => written?,
                }
            }
            if header.kind == Kind::Last {
                return Ok(Some(Received::Parcel(Parcel { bytes, descriptors })));
            }
            is_within = true;
        }
    }

    /// Fills the buffer with bytes that come without descriptors.
    fn read_exactly(&mut self, mut buffer: &mut [u8]) -> Result<(), ChannelError> {
        while !buffer.is_empty() {
            let mut brought = Vec::new();
            let read = self.read_some(buffer, &mut brought, Some(self.patience))?;
            if read == 0 {
                return Err(ChannelError::ClosedWithin);
            }
            if !brought.is_empty() {
                return Err(ChannelError::Descriptors { claimed: 0, brought: brought.len() });
            }
            buffer = &mut buffer[read..];
        }
        Ok(())
    }

    /// Reads what is there, and waits for it if nothing is. Gives 0 at the end of the stream.
    fn read_some(
        &self,
        buffer: &mut [u8],
        brought: &mut Vec<OwnedFd>,
        patience: Option<Duration>,
    ) -> Result<usize, ChannelError> {
        use rustix::io::Errno;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        loop {
            let mut control = RecvAncillaryBuffer::new(&mut space);
            match recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Ok(read) => {
                    for message in control.drain() {
                        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                            brought.extend(descriptors);
                        }
                    }
                    if read.flags.contains(ReturnFlags::CTRUNC) {
                        return Err(ChannelError::LostDescriptors);
                    }
                    return Ok(read.bytes);
                }
                Err(Errno::INTR) => {}
                // All bytes that the other end had sent were read before this error is told.
                Err(Errno::CONNRESET) => return Ok(0),
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, patience)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes all bytes of the slices.
    fn write(&self, mut slices: &mut [IoSlice<'_>]) -> Result<(), ChannelError> {
        while !slices.is_empty() {
            let written = self.begin(slices, &[])?;
            IoSlice::advance_slices(&mut slices, written);
        }
        Ok(())
    }

    /// Writes as many bytes as fit, at least one, with the descriptors at the first of them. Gives their number.
    fn begin(&self, slices: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> Result<usize, ChannelError> {
        use rustix::io::Errno;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(ChannelError::TooManyDescriptors(descriptors.len()));
            }
            match sendmsg(&self.socket, slices, &mut control, flags) {
                Ok(written) => return Ok(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, Some(self.patience))?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the socket can be read or written. An end that was closed counts as that.
    fn wait(&self, wanted: PollFlags, patience: Option<Duration>) -> Result<(), ChannelError> {
        if wait_for(self.socket.as_fd(), wanted, patience)? {
            return Ok(());
        }
        Err(ChannelError::Silent(patience.unwrap_or_default()))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until a descriptor is ready, and gives whether it is so in time.
pub(super) fn wait_for(
    descriptor: BorrowedFd<'_>,
    wanted: PollFlags,
    patience: Option<Duration>,
) -> io::Result<bool> {
    let until = patience.map(|patience| Instant::now() + patience);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, wanted)], left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use rustix::process::Uid;
    use rustix::thread::set_thread_res_uid;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    fn ends() -> (Channel, Channel) {
        let (own, other) = pair(PATIENCE).unwrap();
        (own, Channel::new(other, PATIENCE))
    }

    /// An end, and the bare socket of a peer that need not keep to any rule.
    fn with_liar(patience: Duration) -> (Channel, UnixStream) {
        let (own, other) = pair(patience).unwrap();
        (own, other.into())
    }

    fn parcel(received: Received) -> Parcel {
        match received {
            Received::Parcel(parcel) => parcel,
            Received::Decision => panic!("the decision"),
        }
    }

    fn error(channel: &mut Channel) -> String {
        channel.receive().unwrap_err().to_string()
    }

    /// Pipes: what is written to one of the second list can be read from its fellow of the first.
    fn pipes(number: usize) -> (Vec<OwnedFd>, Vec<OwnedFd>) {
        let pipe = || std::io::pipe().map(|(reader, writer)| (OwnedFd::from(reader), OwnedFd::from(writer)));
        (0..number).map(|_| pipe().unwrap()).unzip()
    }

    fn send_raw(to: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)));
        let sent = sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(sent, bytes.len());
    }

    /// Sends as many frames with descriptors as may be under way.
    fn fill(channel: &mut Channel, descriptors: &[OwnedFd]) {
        for _ in 0..MAX_UNDER_WAY {
            channel.send(&[b"1"], &[descriptors[0].as_fd()]).unwrap();
        }
    }

    /// Whether nobody has the writing end of the pipe any more.
    fn is_closed(reader: OwnedFd) -> bool {
        assert!(wait_for(reader.as_fd(), PollFlags::IN, Some(PATIENCE)).unwrap(), "it is still open");
        File::from(reader).read(&mut [0]).unwrap() == 0
    }

    #[test]
    fn messages_of_any_length_arrive_with_their_descriptors() {
        let (mut old, mut new) = ends();
        let long: Vec<u8> = (0..MAX_PAYLOAD * 2 + 5).map(|at| (at / 251) as u8).collect();
        let (mut readers, writers) = pipes(MAX_DESCRIPTORS);
        let sender = thread::spawn({
            let long = long.clone();
            move || {
                let writers: Vec<_> = writers.iter().map(AsFd::as_fd).collect();
                old.send(&[], &[]).unwrap();
                old.send(&[b"head", &long], &writers).unwrap();
                old.send(&[b"a", b"", b"b"], &writers[..1]).unwrap();
                old.send_decision().unwrap();
                old.send(&[b"after"], &writers[..2]).unwrap();
                parcel(old.receive().unwrap()).bytes
            }
        });
        let parcels: Vec<_> = (0..3).map(|_| parcel(new.receive().unwrap())).collect();
        assert!(matches!(new.receive().unwrap(), Received::Decision));
        let after = parcel(new.receive_whenever().unwrap());
        new.send(&[b"thanks"], &[]).unwrap();
        assert_eq!(sender.join().unwrap(), b"thanks");
        assert_eq!((parcels[0].bytes.len(), parcels[0].descriptors.len()), (0, 0));
        assert!(parcels[1].bytes[..4] == *b"head" && parcels[1].bytes[4..] == long);
        assert_eq!((parcels[2].bytes.as_slice(), parcels[2].descriptors.len()), (&b"ab"[..], 1));
        assert_eq!((after.bytes.as_slice(), after.descriptors.len()), (&b"after"[..], 2));
        for descriptor in &parcels[1].descriptors {
            assert!(rustix::io::fcntl_getfd(descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        for (number, (reader, writer)) in readers.drain(..).zip(&parcels[1].descriptors).enumerate() {
            File::from(writer.try_clone().unwrap()).write_all(&[number as u8]).unwrap();
            let mut byte = [0];
            File::from(reader).read_exact(&mut byte).unwrap();
            assert_eq!(byte, [number as u8], "descriptors keep their order");
        }
    }

    #[test]
    fn both_ends_may_send_descriptors_at_once() {
        let (mut old, mut new) = ends();
        let (_readers, writers) = pipes(1);
        for end in [&mut old, &mut new] {
            fill(end, &writers);
        }
        let all = |end: &mut Channel| {
            let (_readers, writers) = pipes(1);
            end.send(&[b"last"], &[writers[0].as_fd()]).unwrap();
            (0..=MAX_UNDER_WAY).map(|_| parcel(end.receive().unwrap()).bytes).collect::<Vec<_>>()
        };
        let other = thread::spawn(move || all(&mut new));
        for received in [all(&mut old), other.join().unwrap()] {
            assert!(received[..MAX_UNDER_WAY].iter().all(|bytes| bytes == b"1"));
            assert_eq!(received[MAX_UNDER_WAY], b"last");
        }
    }

    #[test]
    fn few_frames_with_descriptors_are_under_way() {
        let (mut old, mut liar) = with_liar(SHORT);
        let (_readers, writers) = pipes(1);
        fill(&mut old, &writers);
        old.send(&[b"without"], &[]).unwrap();
        let late = old.send(&[b"2"], &[writers[0].as_fd()]).unwrap_err();
        assert_eq!(late.to_string(), "the other server has done nothing for 0.1 s");
        liar.write_all(&[3, 0, 0, 0, 0, 0]).unwrap();
        old.send(&[b"2"], &[writers[0].as_fd()]).unwrap();
        // One more than is owed.
        liar.write_all(&[3, 0, 0, 0, 0, 0].repeat(MAX_UNDER_WAY + 1)).unwrap();
        assert_eq!(error(&mut old), "the other server has acknowledged what was not sent");
    }

    #[test]
    fn fewer_are_under_way_where_the_kernel_permits_no_more() {
        let of_another_user = thread::spawn(|| {
            // The kernel counts what is under way by user, and root's without a bound. This thread alone becomes another user.
            let other = Uid::from_raw(54_321);
            if set_thread_res_uid(other, other, other).is_err() {
                println!("SKIPPED: only root may become another user");
                return;
            }
            let (_readers, writers) = pipes(1);
            let many = vec![writers[0].as_fd(); MAX_DESCRIPTORS];
            let send = |channel: &mut Channel| channel.send(&[b"clients"], &many);
            let mut elsewhere = Vec::new();
            let refused = loop {
                let (mut own, other) = ends();
                match (0..MAX_UNDER_WAY / 2).try_for_each(|_| send(&mut own)) {
                    Ok(()) => elsewhere.push((own, other)),
                    Err(refused) => break refused,
                }
            };
            assert!(matches!(refused, ChannelError::TooManyUnderWay), "{refused}");
            let (mut old, mut new) = ends();
            assert!(matches!(send(&mut old).unwrap_err(), ChannelError::TooManyUnderWay));
            // Now there is room for fewer than may be under way in one channel.
            elsewhere.pop();
            let receiver = thread::spawn(move || {
                let received = (0..3 * MAX_UNDER_WAY).map(|_| parcel(new.receive().unwrap()));
                received.map(|parcel| parcel.descriptors.len()).sum::<usize>()
            });
            (0..3 * MAX_UNDER_WAY).for_each(|_| send(&mut old).unwrap());
            assert_eq!(receiver.join().unwrap(), 3 * MAX_UNDER_WAY * MAX_DESCRIPTORS);
        });
        of_another_user.join().unwrap();
    }

    #[test]
    fn messages_instead_of_an_acknowledgement_are_bounded() {
        let (mut old, mut liar) = with_liar(PATIENCE);
        let (_readers, writers) = pipes(1);
        fill(&mut old, &writers);
        liar.write_all(&[1, 0, 0, 0, 0, 0].repeat(MAX_EARLY + 1)).unwrap();
        let error = old.send(&[b"2"], &[writers[0].as_fd()]).unwrap_err();
        assert!(matches!(error, ChannelError::NotAcknowledged));
    }

    #[test]
    fn a_peer_that_is_gone_or_silent_is_an_error() {
        let (mut old, liar) = with_liar(SHORT);
        assert_eq!(error(&mut old), "the other server has done nothing for 0.1 s");
        drop(liar);
        assert!(old.receive().unwrap_err().is_end());
        assert!(old.receive_whenever().unwrap_err().is_end());
        assert!(old.send(&[b"x"], &[]).unwrap_err().is_end());
        assert!(old.send_decision().unwrap_err().is_end());

        // What was sent before the end is received, even when the sender has died with something unread.
        let (mut old, mut liar) = with_liar(SHORT);
        old.send(&[b"unread"], &[]).unwrap();
        liar.write_all(&[1, 0, 0, 0, 0, 1, b'x', DECISION]).unwrap();
        drop(liar);
        assert_eq!(parcel(old.receive().unwrap()).bytes, b"x");
        assert!(matches!(old.receive().unwrap(), Received::Decision));
        assert!(matches!(old.receive().unwrap_err(), ChannelError::Closed));

        // Neither is it lost when the end comes before its acknowledgement.
        let (mut old, liar) = with_liar(SHORT);
        let (_readers, writers) = pipes(1);
        send_raw(&liar, &[1, 1, 0, 0, 0, 0], &[writers[0].as_fd()]);
        drop(liar);
        assert_eq!(parcel(old.receive().unwrap()).descriptors.len(), 1);
        assert!(matches!(old.receive().unwrap_err(), ChannelError::Closed));
    }

    #[test]
    fn a_message_that_breaks_off_is_an_error_wherever_it_does() {
        let whole = [2, 0, 0, 0, 0, 2, b'a', b'b', 1, 0, 0, 0, 0, 1, b'c'];
        for end in 1..whole.len() {
            let (mut old, mut liar) = with_liar(SHORT);
            liar.write_all(&whole[..end]).unwrap();
            drop(liar);
            assert!(matches!(old.receive().unwrap_err(), ChannelError::ClosedWithin), "after {end} bytes");
        }
        let (mut old, mut liar) = with_liar(SHORT);
        liar.write_all(&whole[..4]).unwrap();
        assert!(matches!(old.receive_whenever().unwrap_err(), ChannelError::Silent(SHORT)));
    }

    #[test]
    fn a_peer_that_reads_nothing_is_not_waited_for() {
        let (mut old, _liar) = with_liar(SHORT);
        let much = vec![0; MAX_PAYLOAD];
        assert!(matches!(old.send(&[&much], &[]).unwrap_err(), ChannelError::Silent(SHORT)));
        assert!(matches!(old.send_decision().unwrap_err(), ChannelError::Silent(SHORT)));
    }

    #[test]
    fn lies_are_errors_and_leak_no_descriptor() {
        let told = |bytes: &[u8], descriptors: usize| {
            let (mut old, liar) = with_liar(SHORT);
            let (mut readers, writers) = pipes(descriptors);
            let borrowed: Vec<_> = writers.iter().map(AsFd::as_fd).collect();
            send_raw(&liar, bytes, &borrowed);
            drop(writers);
            let error = error(&mut old);
            assert!(readers.drain(..).all(is_closed));
            error
        };
        assert_eq!(told(&[1, 1, 0, 0, 0, 0], 0), "a frame claims 1 descriptors and brings 0");
        assert_eq!(told(&[1, 2, 0, 0, 0, 0], 3), "a frame claims 2 descriptors and brings 3");
        assert_eq!(told(&[1, 0, 0, 0, 0, 0], 253), "a frame claims 0 descriptors and brings 253");
        assert_eq!(told(&[DECISION], 1), "a frame claims 0 descriptors and brings 1");
        assert!(told(&[3, 1, 0, 0, 0, 0], 1).ends_with("an acknowledgement claims content"));
        assert_eq!(told(&[2, 0, 0, 0, 0, 0, DECISION], 0), "the decision came in the middle of a message");
        assert!(told(b"GET / HTTP/1.1\r\n\r\n", 0).contains("frames of kind 71 are not known"));
        assert!(told(&[1, 0, 0, 0x80, 0, 1], 0).contains("a frame claims 8388609 bytes"));
    }

    #[test]
    fn descriptors_in_the_middle_of_a_message_are_closed() {
        let (mut old, mut liar) = with_liar(SHORT);
        let (mut readers, writers) = pipes(1);
        liar.write_all(&[1, 0, 0, 0, 0, 2]).unwrap();
        send_raw(&liar, b"ab", &[writers[0].as_fd()]);
        drop(writers);
        assert_eq!(error(&mut old), "a frame claims 0 descriptors and brings 1");
        assert!(readers.drain(..).all(is_closed));
    }

    #[test]
    fn more_than_a_frame_can_carry_is_refused_before_anything_is_sent() {
        let (mut old, mut new) = ends();
        let (_readers, writers) = pipes(1);
        let many = vec![writers[0].as_fd(); MAX_DESCRIPTORS + 1];
        assert!(matches!(old.send(&[], &many).unwrap_err(), ChannelError::TooManyDescriptors(254)));
        old.send(&[b"next"], &many[1..]).unwrap();
        assert_eq!(parcel(new.receive().unwrap()).bytes, b"next");
    }
}
