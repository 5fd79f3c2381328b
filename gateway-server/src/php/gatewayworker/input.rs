//! The input buffer of a connection of GatewayWorker's classes: bytes that were read and that are no complete packet or line yet.

use std::io::{ErrorKind, Read as _};

use bytes::{Bytes, BytesMut};
use gateway_wire::gatewayworker::{line_length, packet_length};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::ended::Ended;
use crate::php::fair_share::Share;
use crate::php::memory_budget::{self, ReadSize};

pub(super) struct Input(BytesMut, ReadSize, Share);

impl Input {
    /// Starts with what was read already: the first byte, by which the protocol was told, or what a connection had read when it came
    /// to rest.
    pub(super) fn with(read: &[u8]) -> Self {
        Self(BytesMut::from(read), ReadSize::STRANGER, Share::default())
    }

    /// What was read and is no complete packet or line.
    pub(super) fn unread(&self) -> &[u8] {
        &self.0
    }

    /// Lets the buffer grow to the sizes of ordinary use, once the peer has shown that it knows the secret.
    pub(super) fn trust(&mut self) {
        self.1.trust();
    }

    /// Number of bytes in the buffer.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the next packet out of the buffer. Gives `None` while it is not complete.
    pub(super) fn packet(&mut self, limit: usize) -> Result<Option<Bytes>, Ended> {
        let found = packet_length(&self.0, limit).map_err(|error| Ended::Refused(error.to_string()))?;
        Ok(found.map(|length| self.0.split_to(length).freeze()))
    }

    /// Takes the next line out of the buffer. Gives `None` while it is not complete.
    pub(super) fn line(&mut self, limit: usize) -> Result<Option<Bytes>, Ended> {
        let found = line_length(&self.0, limit).map_err(|error| Ended::Refused(error.to_string()))?;
        Ok(found.map(|length| self.0.split_to(length).freeze()))
    }

    /// Reads once what the system has, without waiting. Gives false when there was nothing.
    pub(super) fn read_now(&mut self, socket: &Socket) -> Result<bool, Ended> {
        self.read_with(|chunk| (&*socket).read(chunk))
    }

    /// Reads once with a function that does not wait. Gives false when there was nothing.
    pub(super) fn read_with(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> Result<bool, Ended> {
        let mut chunk = [0; 4096];
        match read(&mut chunk) {
            Ok(0) => Err(Ended::Closed),
            Ok(length) => {
                self.0.extend_from_slice(&chunk[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for more bytes. The future can be dropped half-way without losing bytes.
    pub(super) async fn read_more(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> Result<(), Ended> {
        let Self(bytes, size, share) = self;
        share.give_way().await;
        // A connection that sends little gives a large buffer back, so that thousands of idle ones take little memory.
        if bytes.is_empty() && bytes.capacity() > 2 * size.bytes() {
            *bytes = BytesMut::new();
        }
        memory_budget::may_grow(bytes)?;
        bytes.reserve(size.bytes());
        let read = socket.read_buf(bytes).await?;
        size.came(read);
        share.charge(read);
        if read == 0 { Err(Ended::Closed) } else { Ok(()) }
    }
}
