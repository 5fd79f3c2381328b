//! Websocket messages of a server that come piece by piece, of which only the beginning is kept.

use anyhow::ensure;

use super::sequence::FILLING;
use crate::frames::Header;

/// The bytes of a message that are kept. What follows is filling.
const START: usize = 40;

/// The place in a stream of messages between two reads.
#[derive(Default)]
pub(super) struct Incoming {
    header: Vec<u8>,
    /// The bytes that are still to come of the message that has begun, and before them its opcode.
    begun: Option<(u8, usize)>,
    start: Vec<u8>,
}

impl Incoming {
    /// Takes bytes, and calls `ended` with the opcode and the first bytes of each message that ends in them.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        mut ended: impl FnMut(u8, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            let Some((opcode, left)) = &mut self.begun else {
                let [next, rest @ ..] = bytes else { return Ok(()) };
                self.header.push(*next);
                bytes = rest;
                if let Some(header) = Header::read(&self.header) {
                    self.header.clear();
                    self.start.clear();
                    self.begun = Some((header.opcode, header.payload));
                }
                continue;
            };
            let (here, rest) = bytes.split_at(bytes.len().min(*left));
            let (kept, filling) = here.split_at(here.len().min(START - self.start.len()));
            self.start.extend_from_slice(kept);
            ensure!(filling.iter().all(|byte| *byte == FILLING), "a message is not what was sent");
            *left -= here.len();
            bytes = rest;
            if *left > 0 {
                return Ok(());
            }
            let opcode = *opcode;
            self.begun = None;
            ended(opcode, &self.start)?;
        }
    }
}
