//! The bridge's handshake, from the preface to the gateway's welcome.

use std::io::Write as _;
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::MAX_LOGIN;
use gateway_wire::bridge::{Login, NONCE_BYTES, Producer, Reply};

use crate::dial::{Failed, left, set_timeouts};
use crate::error::Reason;
use crate::foreign_service::Stranger;
use crate::peek;
use crate::reply_reader::Replies;
use crate::stream::Wire;

/// A service that has not answered gets so long to show what it is.
const LAST_WORD: Duration = Duration::from_millis(100);

pub(crate) struct Handshake<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) deadline: Instant,
}

impl Handshake<'_> {
    /// After the preface.
    pub(crate) fn shake(
        &mut self,
        secret: &[u8],
        role: &str,
        producer: Producer,
        replies: &mut Replies,
    ) -> Result<u64, Reason> {
        let nonce = match self.first_reply(replies)? {
            Reply::Hello { nonce, .. } => nonce,
            Reply::Error { message, .. } => return Err(Reason::NotAGateway(message)),
            other => return Err(unexpected(&other)),
        };
        let mut own = [0; NONCE_BYTES];
        getrandom::fill(&mut own).map_err(|error| Reason::Io(format!("no random numbers: {error}")))?;
        let login = Login::new(role, producer, secret, &nonce, own);
        let mut encoded = Vec::new();
        login.encode(&mut encoded).map_err(|error| Reason::Io(error.to_string()))?;
        self.write(&encoded)?;
        match self.reply(replies)? {
            // Without a secret everybody could prove as much.
            Reply::Welcome { proof, .. }
                if !secret.is_empty() && !login.is_answered(secret, &nonce, &proof) =>
            {
                Err(Reason::Unproven)
            }
            Reply::Welcome { applied, .. } => Ok(applied),
            Reply::Error { message, .. } => Err(Reason::LoginRefused(message)),
            other => Err(unexpected(&other)),
        }
    }

    /// Where nothing comes, the last of the time goes into finding out who is there.
    fn first_reply(&mut self, replies: &mut Replies) -> Result<Reply, Reason> {
        let left = left(self.deadline)?;
        // It waits by poll, since the timeouts of reads may be late by a tenth of a second.
        if !self.wire.has_read() && peek::is_silent(self.wire.socket(), left - LAST_WORD.min(left / 4))? {
            return Err(self.who_is_silent(replies));
        }
        self.reply(replies)
    }

    /// Our gateway answers the preface at once. Many other servers wait for the end of a line, and then say something
    /// by which they are known. This connection is given up in any case.
    fn who_is_silent(&mut self, replies: &mut Replies) -> Reason {
        let mut heard = self.write(b"\r\n\r\n").is_ok();
        while heard {
            heard = matches!(self.fill(replies), Ok(1..));
            if let Some(stranger) = Stranger::by_its_words(replies.unread()) {
                return Reason::Stranger(stranger);
            }
        }
        Reason::Timeout(Duration::ZERO)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        set_timeouts(self.wire.socket(), self.deadline)?;
        Ok(self.wire.write_all(bytes)?)
    }

    fn reply(&mut self, replies: &mut Replies) -> Result<Reply, Reason> {
        loop {
            match replies.next(MAX_LOGIN) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => {
                    let stranger = Stranger::by_its_words(replies.unread());
                    return Err(stranger.map_or(Reason::NotAGateway(error.to_string()), Reason::Stranger));
                }
            }
            if self.fill(replies)? == 0 {
                return Err(Reason::closed());
            }
        }
    }

    fn fill(&mut self, replies: &mut Replies) -> Result<usize, Failed> {
        set_timeouts(self.wire.socket(), self.deadline)?;
        Ok(replies.fill(self.wire)?)
    }
}

fn unexpected(reply: &Reply) -> Reason {
    let kind = match reply {
        Reply::Hello { .. } => "hello",
        Reply::Welcome { .. } => "welcome",
        Reply::Ack { .. } => "ack",
        Reply::Answer { .. } => "answer",
        Reply::Error { .. } => "error",
    };
    Reason::NotAGateway(format!("its handshake has an unexpected {kind}"))
}
