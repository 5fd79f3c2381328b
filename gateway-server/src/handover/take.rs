//! The new server's side of a hand-over: the protocol over the channel from the process that has started it.

use std::os::fd::OwnedFd;

use super::channel::{Channel, ChannelError, Received};
use super::message::{Hello, ListeningSocket, Message, Offer};
use super::protocol::{Failure, NewEnd, NewOutcome, NewTask};

/// What the new server does for a hand-over besides talking. It touches no client's socket. Errors are sentences, and the old server
/// goes on after one.
pub trait Taker {
    /// Checks whether this can be taken over.
    fn check(&mut self, offer: &Offer) -> Result<(), String>;

    /// Gets the listening sockets, one for each that is described.
    fn listeners(&mut self, listeners: Vec<ListeningSocket>, sockets: Vec<OwnedFd>) -> Result<(), String>;

    /// Restores a batch of clients of a shard.
    fn clients(&mut self, shard: u32, bytes: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), String>;

    /// Restores a part of all other state.
    fn state(&mut self, name: &str, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Result<(), String>;

    /// Does what is left to do when everything has come. Nothing that follows can fail.
    fn finish(&mut self) -> Result<(), String>;

    /// Whether this server was asked to stop.
    fn is_asked_to_stop(&self) -> bool;
}

/// What the old server says after the decision.
#[derive(Debug)]
pub enum AfterDecision {
    /// A handshake is done: the client, with its socket.
    Handshake(Vec<u8>, Vec<OwnedFd>),
    /// The relay has this many clients left, and says more of itself.
    Relayed(u64, Vec<u8>),
}

/// A message with what it carries.
struct Heard {
    message: Message,
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// Takes over from the process that has started this one.
pub fn take(channel: &mut Channel, taker: &mut dyn Taker) -> NewOutcome {
    let mut end = NewEnd::new(Hello::new());
    // What the last message has brought, until it is restored.
    let mut brought = None;
    loop {
        if taker.is_asked_to_stop() {
            end.stop();
        }
        let result = match end.task() {
            NewTask::Over(outcome) => return outcome,
            NewTask::Hear => match channel.receive() {
                Ok(Received::Decision) => {
                    end.decided();
                    Ok(())
                }
                received => heard(received).map(|heard| {
                    end.received(&heard.message, heard.descriptors.len());
                    brought = Some(heard);
                }),
            },
            NewTask::AwaitDecision => match channel.receive_whenever() {
                Ok(Received::Decision) => {
                    // The server may have been asked to stop meanwhile.
                    if taker.is_asked_to_stop() {
                        end.stop();
                    }
                    end.decided();
                    Ok(())
                }
                received => {
                    heard(received).map(|heard| end.received(&heard.message, heard.descriptors.len()))
                }
            },
            NewTask::Send(message) => channel
                .send(&[&message.to_bytes()], &[])
                .map_err(|error| Failure::from(&error))
                .map(|()| end.done()),
            NewTask::Check(offer) => {
                brought = None;
                taker.check(&offer).map_err(Failure::Other).map(|()| end.done())
            }
            NewTask::Restore => restore(taker, brought.take()).map_err(Failure::Other).map(|()| end.done()),
            NewTask::Finish => taker.finish().map_err(Failure::Other).map(|()| end.done()),
        };
        if let Err(failure) = result {
            end.failed(&failure);
        }
    }
}

/// Tells the old server that the clients are served.
pub fn say_serving(channel: &mut Channel) -> Result<(), ChannelError> {
    channel.send(&[&Message::Serving.to_bytes()], &[])
}

/// Waits for what the old server says next. An error is also that it has ended, as it does when it has nothing left to do.
pub fn hear_after_decision(channel: &mut Channel) -> Result<AfterDecision, Failure> {
    let Heard { message, bytes, descriptors } = heard(channel.receive_whenever())?;
    match message {
        Message::Handshake => Ok(AfterDecision::Handshake(bytes, descriptors)),
        Message::Relayed(clients) if descriptors.is_empty() => Ok(AfterDecision::Relayed(clients, bytes)),
        other => Err(Failure::Other(format!("the old server says {} after the decision", other.name()))),
    }
}

fn heard(received: Result<Received, ChannelError>) -> Result<Heard, Failure> {
    match received {
        Ok(Received::Parcel(parcel)) => {
            let mut bytes = parcel.bytes;
            let (message, length) =
                Message::from_bytes(&bytes).map_err(|error| Failure::Other(error.to_string()))?;
            bytes.drain(..length);
            Ok(Heard { message, bytes, descriptors: parcel.descriptors })
        }
        Ok(Received::Decision) => Err(Failure::Other("the old server decides again".to_owned())),
        Err(error) => Err(Failure::from(&error)),
    }
}

fn restore(taker: &mut dyn Taker, brought: Option<Heard>) -> Result<(), String> {
    let Some(Heard { message, bytes, descriptors }) = brought else { return Ok(()) };
    match message {
        Message::Listeners(listeners) => taker.listeners(listeners, descriptors),
        Message::Clients(shard) => taker.clients(shard, bytes, descriptors),
        Message::State(name) => taker.state(&name, bytes, descriptors),
        // The protocol asks for no other message to be restored.
        other => Err(format!("{} cannot be restored", other.name())),
    }
}
