//! The old server's side of a hand-over: the protocol over the channel to a new process.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::channel::{ChannelError, Received};
use super::decision::{Decision, NotDecided};
use super::message::{ListeningSocket, Message, Offer, Totals};
use super::protocol::{Failure, OldEnd, OldOutcome, OldTask};
use super::spawn::NewProcess;

/// How long a process whose channel is closed may take to end, so that the error says how it has ended.
const DYING: Duration = Duration::from_secs(2);

/// What the old server does for a hand-over besides talking. Errors are sentences.
pub trait Giver {
    /// Accepts no more, brings PHP's connections to rest, and gives each listening socket to the sender.
    fn pass_listeners(&mut self, sender: &mut Sender<'_>) -> Result<(), String>;

    /// Freezes the shards.
    fn freeze(&mut self) -> Result<(), String>;

    /// Gives all state to the sender.
    fn write_state(&mut self, sender: &mut Sender<'_>) -> Result<(), String>;
}

/// Sends what is handed over. A failure of the channel is kept and counts more than what the caller makes of it.
pub struct Sender<'a> {
    new: &'a mut NewProcess,
    totals: Totals,
    failure: Option<Failure>,
}

/// The end of a hand-over for the old server.
#[derive(Debug)]
pub enum Given {
    /// The clients stay. The new process has been ended.
    GoesOn { why: String, thaws: bool, accepts: bool, stops: bool },
    /// The clients belong to the new server.
    HasGiven { new: NewProcess, fault: Option<String> },
}

/// Hands over to a process that was just started. Where the clients stay, the process is gone when this returns, so that the shards
/// can be thawed.
pub fn give(mut new: NewProcess, offer: Offer, decision: &Decision, giver: &mut dyn Giver) -> Given {
    let mut end = OldEnd::new(new.pid(), offer);
    loop {
        let result = match end.task() {
            OldTask::Over(OldOutcome::HasGiven { fault }) => return Given::HasGiven { new, fault },
            OldTask::Over(OldOutcome::GoesOn { why, thaws, accepts, stops }) => {
                new.end();
                // A stop that is asked for from now on is none of the hand-over's.
                return Given::GoesOn { why, thaws, accepts, stops };
            }
            _ if !end.has_given() && decision.is_kept() => {
                end.stop();
                continue;
            }
            OldTask::Hear => hear(&mut new).map(|message| end.received(message)),
            OldTask::Send(message) => new
                .send(&[&message.to_bytes()], &[])
                .map_err(|error| Failure::from(&error))
                .map(|()| end.done()),
            OldTask::PassListeners => {
                with_sender(&mut new, |sender| giver.pass_listeners(sender)).map(|_| end.done())
            }
            OldTask::Freeze => giver.freeze().map_err(Failure::Other).map(|()| end.done()),
            OldTask::WriteState => with_sender(&mut new, |sender| giver.write_state(sender))
                .and_then(|totals| {
                    let message = Message::End(totals).to_bytes();
                    new.send(&[&message], &[]).map_err(|error| Failure::from(&error))
                })
                .map(|()| end.done()),
            OldTask::Decide => match new.decide(decision) {
                Ok(()) => {
                    tracing::debug!("upgrade: it is decided that the clients are the new process's");
                    end.done();
                    Ok(())
                }
                Err(NotDecided::Stopped) => {
                    end.stop();
                    Ok(())
                }
                Err(NotDecided::NotSent(error)) => Err(Failure::from(&error)),
            },
        };
        if let Err(failure) = result {
            if !end.has_given() && decision.is_kept() {
                end.stop();
            } else {
                end.failed(&explained(&mut new, failure));
            }
        }
    }
}

impl Sender<'_> {
    /// Sends the listening sockets, each with its descriptor.
    pub fn listeners(
        &mut self,
        listeners: Vec<ListeningSocket>,
        sockets: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.send(&Message::Listeners(listeners), &[], sockets)
    }

    /// Sends a batch of clients of a shard, with their sockets.
    pub fn clients(&mut self, shard: u32, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_counted(&Message::Clients(shard), bytes, sockets)
    }

    /// Sends a part of all other state.
    pub fn state(&mut self, name: &str, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_counted(&Message::State(name.to_owned()), bytes, descriptors)
    }

    fn send_counted(
        &mut self,
        message: &Message,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.send(message, bytes, descriptors)?;
        self.totals.parcels += 1;
        self.totals.descriptors += descriptors.len() as u64;
        Ok(())
    }

    fn send(&mut self, message: &Message, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.new.send(&[&message.to_bytes(), bytes], descriptors).map_err(|error| {
            self.failure = Some(Failure::from(&error));
            io::Error::other(error)
        })
    }
}

/// Has something sent, and gives how much that was.
fn with_sender(
    new: &mut NewProcess,
    write: impl FnOnce(&mut Sender<'_>) -> Result<(), String>,
) -> Result<Totals, Failure> {
    let mut sender = Sender { new, totals: Totals::default(), failure: None };
    let written = write(&mut sender);
    match (sender.failure, written) {
        (Some(failure), _) => Err(failure),
        (None, Err(why)) => Err(Failure::Other(why)),
        (None, Ok(())) => Ok(sender.totals),
    }
}

fn hear(new: &mut NewProcess) -> Result<Message, Failure> {
    match new.receive() {
        Ok(Received::Parcel(parcel)) => {
            let (message, length) =
                Message::from_bytes(&parcel.bytes).map_err(|error| Failure::Other(error.to_string()))?;
            if length < parcel.bytes.len() || !parcel.descriptors.is_empty() {
                let name = message.name();
                return Err(Failure::Other(format!("the new server says {name} and more than that")));
            }
            Ok(message)
        }
        Ok(Received::Decision) => {
            Err(Failure::Other("the new server decides, which is not its part".to_owned()))
        }
        Err(error) => Err(Failure::from(&error)),
    }
}

/// Says more of a new process that is gone: the reason that it has given before, or how it has ended.
fn explained(new: &mut NewProcess, failure: Failure) -> Failure {
    if !matches!(failure, Failure::Gone(_)) {
        return failure;
    }
    // Nothing more can come, so this reads what is there.
    while let Ok(message) = hear(new) {
        if let Message::Refused(why) = message {
            return Failure::Other(format!("the new server does not take over: {why}"));
        }
    }
    match new.how_it_ended(DYING) {
        Some(how) => Failure::Gone(how),
        None => failure,
    }
}

/// Passes a handshake that the old server has finished after the decision.
pub fn pass_handshake(
    new: &mut NewProcess,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), ChannelError> {
    new.send(&[&Message::Handshake.to_bytes(), bytes], descriptors)
}

/// Tells the new server how many clients the relay still has, and more of it in `report`.
pub fn report_relayed(new: &mut NewProcess, clients: u64, report: &[u8]) -> Result<(), ChannelError> {
    new.send(&[&Message::Relayed(clients).to_bytes(), report], &[])
}
