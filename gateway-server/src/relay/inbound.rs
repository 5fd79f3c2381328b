//! The direction from a client to the serving process: what the client sends is decrypted, and written to the pair.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;

use super::report::RelayCounts;
use super::session::{Inbound, Outbound, Rest, Session, TURN};
use crate::net::peer_address;
use crate::telemetry::abuse_log::{self, Offence};

impl Session {
    /// Carries a share of what the client has sent. The socket is read only when everything that was decrypted is written, so the TLS
    /// session holds at most what one read has brought, 18 KiB, and as much that has come of the next record.
    pub(super) fn carry_inbound(&mut self, counts: &RelayCounts) -> Rest {
        let mut left = TURN;
        while self.inbound == Inbound::Open {
            let decrypted = self.tls.decrypted();
            if !decrypted.is_empty() {
                match (&self.pair).write(decrypted) {
                    Ok(length) => {
                        self.tls.consume(length);
                        counts.count_from_clients(length);
                        left = left.saturating_sub(length);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Rest::Nothing,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => self.inbound = Inbound::Refused,
                }
                continue;
            }
            // Many clients close the connection without ending the TLS session.
            if self.tls.has_ended() {
                self.end_inbound();
                break;
            }
            if left == 0 {
                return Rest::More;
            }
            match self.tls.receive(&mut self.tcp, &mut []) {
                // TLS may have something to send by itself.
                Ok(_) => {
                    self.flush();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Rest::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The client has broken TLS, of which an alert tells it, or reset the connection.
                Err(error) => {
                    if error.kind() == ErrorKind::InvalidData {
                        self.flush();
                        abuse_log::report(Offence::Tls, peer_address(&self.tcp), &error);
                    }
                    self.outbound = Outbound::Refused;
                    self.end_inbound();
                }
            }
        }
        Rest::Nothing
    }

    /// Tells the serving process that the client sends nothing more.
    fn end_inbound(&mut self) {
        self.inbound = Inbound::Ended;
        // The call fails only when the serving process has closed its end.
        let _ = self.pair.shutdown(Shutdown::Write);
    }
}
