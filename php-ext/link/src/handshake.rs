//! The bridge's handshake, from the preface to the gateway's welcome.

use std::io::Write as _;
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::MAX_LOGIN;
use gateway_wire::bridge::{Login, NONCE_BYTES, Producer, Reply};

use crate::dial::{DialError, left, set_timeouts};
use crate::error::ConnectError;
use crate::foreign_service::ForeignService;
use crate::peek;
use crate::reply_reader::ReplyReader;
use crate::stream::MaybeTlsStream;

/// A service that has not answered gets so long to show what it is.
const LAST_WORD: Duration = Duration::from_millis(100);

pub(crate) struct Handshake<'a> {
    pub(crate) stream: &'a mut MaybeTlsStream,
    pub(crate) deadline: Instant,
}

impl Handshake<'_> {
    /// Runs the handshake after the preface. Gives the number of the last order of this producer that the gateway has applied.
    pub(crate) fn run(
        &mut self,
        secret: &[u8],
        role: &str,
        producer: Producer,
        replies: &mut ReplyReader,
    ) -> Result<u64, ConnectError> {
        let nonce = match self.first_reply(replies)? {
            Reply::Hello { nonce, .. } => nonce,
            Reply::Error { message, .. } => return Err(ConnectError::NotAGateway(message)),
            other => return Err(unexpected(&other)),
        };
        let mut own = [0; NONCE_BYTES];
        getrandom::fill(&mut own).map_err(|error| ConnectError::Io(format!("no random numbers: {error}")))?;
        let login = Login::new(role, producer, secret, &nonce, own);
        let mut encoded = Vec::new();
        login.encode(&mut encoded).map_err(|error| ConnectError::Io(error.to_string()))?;
        self.write(&encoded)?;
        match self.reply(replies)? {
            // Without a secret, any program could prove as much.
            Reply::Welcome { proof, .. }
                if !secret.is_empty() && !login.is_answered(secret, &nonce, &proof) =>
            {
                Err(ConnectError::Unproven)
            }
            Reply::Welcome { applied, .. } => Ok(applied),
            Reply::Error { message, .. } => Err(ConnectError::LoginRefused(message)),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads the first reply. When nothing comes, the last part of the time is spent on finding out what service listens there.
    fn first_reply(&mut self, replies: &mut ReplyReader) -> Result<Reply, ConnectError> {
        let left = left(self.deadline)?;
        // This waits by poll, since the timeouts of reads may be late by a tenth of a second.
        if !self.stream.has_buffered_input()
            && peek::is_silent(self.stream.socket(), left - LAST_WORD.min(left / 4))?
        {
            return Err(self.identify_silent_service(replies));
        }
        self.reply(replies)
    }

    /// Our gateway answers the preface at once. Many other services wait for the end of a line, and then send something by
    /// which they are recognised. This connection is given up in any case.
    fn identify_silent_service(&mut self, replies: &mut ReplyReader) -> ConnectError {
        let mut heard = self.write(b"\r\n\r\n").is_ok();
        while heard {
            heard = matches!(self.fill(replies), Ok(1..));
            if let Some(service) = ForeignService::from_first_bytes(replies.unread()) {
                return ConnectError::ForeignService(service);
            }
        }
        ConnectError::Timeout(Duration::ZERO)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DialError> {
        set_timeouts(self.stream.socket(), self.deadline)?;
        Ok(self.stream.write_all(bytes)?)
    }

    fn reply(&mut self, replies: &mut ReplyReader) -> Result<Reply, ConnectError> {
        loop {
            match replies.next(MAX_LOGIN) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => {
                    let service = ForeignService::from_first_bytes(replies.unread());
                    return Err(service
                        .map_or(ConnectError::NotAGateway(error.to_string()), ConnectError::ForeignService));
                }
            }
            if self.fill(replies)? == 0 {
                return Err(ConnectError::ClosedInHandshake);
            }
        }
    }

    fn fill(&mut self, replies: &mut ReplyReader) -> Result<usize, DialError> {
        set_timeouts(self.stream.socket(), self.deadline)?;
        Ok(replies.fill(self.stream)?)
    }
}

fn unexpected(reply: &Reply) -> ConnectError {
    let kind = match reply {
        Reply::Hello { .. } => "hello",
        Reply::Welcome { .. } => "welcome",
        Reply::Ack { .. } => "ack",
        Reply::Answer { .. } => "answer",
        Reply::Error { .. } => "error",
    };
    ConnectError::NotAGateway(format!("its handshake has an unexpected {kind}"))
}
