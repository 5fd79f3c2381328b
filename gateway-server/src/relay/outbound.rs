//! The direction from the serving process to a client: what comes by the pair is encrypted, and written to the client's socket.

use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;

use super::report::RelayCounts;
use super::session::{Outbound, Rest, Session, TURN};
use crate::net::{Received, receive};

impl Session {
    /// Carries a share of what the serving process has sent. The pair is read only when everything that was encrypted is written, so
    /// the TLS session holds no more than one buffer encrypted.
    pub(super) fn carry_outbound(&mut self, buffer: &mut [u8], counts: &RelayCounts) -> Rest {
        let mut left = TURN;
        while self.flush() {
            match self.outbound {
                Outbound::Open if left == 0 => return Rest::More,
                Outbound::Open => {}
                Outbound::Ending => {
                    // The call fails only when the client has reset the connection.
                    let _ = self.tcp.shutdown(Shutdown::Write);
                    self.outbound = Outbound::Ended;
                    break;
                }
                Outbound::Ended | Outbound::Refused => break,
            }
            match receive(&self.pair, buffer) {
                Ok(Received::Bytes(length)) => {
                    // TLS takes nothing when it has used up its keys, or has failed.
                    if self.tls.write(&[IoSlice::new(&buffer[..length])]).is_err() {
                        return Rest::Reset;
                    }
                    counts.count_to_clients(length);
                    left = left.saturating_sub(length);
                }
                Ok(Received::Reset) => return Rest::Reset,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // An error says that the serving process has closed its end without reading all that the client has sent.
                Ok(Received::End) | Err(_) => {
                    self.tls.close();
                    self.outbound = Outbound::Ending;
                }
            }
        }
        Rest::Nothing
    }
}
