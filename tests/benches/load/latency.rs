//! Latencies at a set rate: messages are sent each at its time, whether or not the earlier ones have arrived.

use std::time::Duration;

use gateway_tests::PATIENCE;

use crate::frames;
use crate::measure::{Figures, Place, is_data};
use crate::publisher::Target;

/// The time from when a message was due until it arrived, in seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Place {
    /// Sends this many messages a second to all clients, each at its time, whether or not the earlier ones have arrived.
    pub(crate) fn paced(
        &mut self,
        size: usize,
        messages_a_second: u32,
        time: Duration,
    ) -> anyhow::Result<Figures> {
        let message = vec![b'x'; size];
        let clients = self.fleet.clients.len();
        let pause = Duration::from_secs(1) / messages_a_second;
        let messages = time.div_duration_f64(pause) as usize;
        let mut latencies = Vec::with_capacity(messages * clients);
        for client in &mut self.fleet.clients {
            client.messages = 0;
        }
        self.fleet.expect(frames::unmasked(&message).len());
        let meter = self.meter()?;
        let mut published = 0;
        while latencies.len() < messages * clients {
            while published < messages && meter.start.elapsed() >= pause * published as u32 {
                self.publisher.publish(Target::All, &message)?;
                published += 1;
            }
            self.publisher.flush()?;
            let turn = self.fleet.turn(|_, client, opcode| {
                if is_data(opcode) {
                    latencies.push(meter.start.elapsed() - pause * client.messages as u32);
                    client.messages += 1;
                }
            })?;
            if turn.control {
                self.publisher.drain()?;
            }
            anyhow::ensure!(meter.start.elapsed() < time + PATIENCE, "paced messages do not come");
        }
        let figures = self.stop(meter, latencies.len())?;
        latencies.sort_unstable();
        let at = |share: f64| latencies[(share * (latencies.len() - 1) as f64) as usize].as_secs_f64();
        Ok(Figures { latency: Some(Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999) }), ..figures })
    }
}
