//! What idle connections cost that are pinged now and then.

use std::time::Duration;

use crate::frames::{PING, PONG, push_masked};
use crate::measure::{Figures, Place};

impl Place {
    /// Answers the pings of all clients for a while, and gives the processor time for a client in a second.
    pub(crate) fn pinged(&mut self, time: Duration) -> anyhow::Result<Figures> {
        let mut frame = Vec::new();
        push_masked(&mut frame, PONG, b"");
        let meter = self.meter()?;
        let (mut pings, mut due) = (0, Vec::new());
        while meter.start.elapsed() < time {
            self.fleet.turn(|key, _, opcode| due.extend(Some(key).filter(|_| opcode == PING)))?;
            pings += due.len();
            self.fleet.send(&due, &frame)?;
            due.clear();
        }
        let clients = self.fleet.clients.len() as f64;
        anyhow::ensure!(pings > 0, "nobody was pinged");
        let figures = self.stop(meter, 1)?;
        let value = figures.cpu / clients / time.as_secs_f64();
        let pings = Some(pings as f64 / clients / time.as_secs_f64() * 60.0);
        Ok(Figures { value, pings, ..figures })
    }
}
