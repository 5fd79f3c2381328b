//! The direction from a client to the serving process: what the client sends is decrypted, and written to the pair.

use std::io::{BufRead as _, ErrorKind, Write as _};
use std::net::Shutdown;

use super::report::RelayCounts;
use super::session::{Inbound, Outbound, Rest, Session, TURN};
use crate::net::peer_address;
use crate::telemetry::abuse_log::{self, Offence};

impl Session {
    /// Carries a share of what the client has sent. The socket is read only when everything that was decrypted is written, so the TLS
    /// session holds a record of each kind at most: 16 KiB decrypted and 18 KiB that have come of the next.
    pub(super) fn carry_inbound(&mut self, counts: &RelayCounts) -> Rest {
        let mut left = TURN;
        while self.inbound == Inbound::Open {
            let mut decrypted = self.tls.reader();
            match decrypted.fill_buf() {
                Ok([]) => {
                    self.end_inbound();
                    break;
                }
                Ok(bytes) => {
                    match (&self.pair).write(bytes) {
                        Ok(length) => {
                            decrypted.consume(length);
                            counts.count_from_clients(length);
                            left = left.saturating_sub(length);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Rest::Nothing,
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(_) => self.inbound = Inbound::Refused,
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The client has closed the connection without ending the TLS session, as many do.
                Err(_) => {
                    self.end_inbound();
                    break;
                }
            }
            if left == 0 {
                return Rest::More;
            }
            match self.tls.read_tls(&mut self.tcp) {
                Ok(_) => self.decrypt(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Rest::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The client has reset the connection.
                Err(_) => {
                    self.outbound = Outbound::Refused;
                    self.end_inbound();
                }
            }
        }
        Rest::Nothing
    }

    /// Decrypts what was read. TLS may have something to send by itself: new keys, or an alert.
    fn decrypt(&mut self) {
        let processed = self.tls.process_new_packets();
        self.flush();
        if let Err(error) = processed {
            abuse_log::report(Offence::Tls, peer_address(&self.tcp), &error);
            self.outbound = Outbound::Refused;
            self.end_inbound();
        }
    }

    /// Tells the serving process that the client sends nothing more.
    fn end_inbound(&mut self) {
        self.inbound = Inbound::Ended;
        // The call fails only when the serving process has closed its end.
        let _ = self.pair.shutdown(Shutdown::Write);
    }
}
