//! A stream that stops to write after some bytes, until it is told to go on: a client that halts in the middle of its handshake.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::soon;

/// The stream. What it reads is not held up.
pub struct HaltingStream<S> {
    stream: S,
    halt: Arc<State>,
}

/// The halt of a stream, after some bytes.
#[derive(Clone)]
pub struct Halt(Arc<State>);

struct State {
    left: Mutex<Left>,
    halted: Notify,
}

struct Left {
    /// The bytes that may be written, or `None` for all.
    bytes: Option<usize>,
    waker: Option<Waker>,
}

impl<S> HaltingStream<S> {
    /// A stream that halts after so many bytes.
    pub fn after(bytes: usize, stream: S) -> (Self, Halt) {
        let left = Mutex::new(Left { bytes: Some(bytes), waker: None });
        let halt = Arc::new(State { left, halted: Notify::new() });
        (Self { stream, halt: Arc::clone(&halt) }, Halt(halt))
    }
}

impl Halt {
    /// Waits until the stream has written what it may.
    pub async fn halted(&self) -> anyhow::Result<()> {
        soon("the halt of a stream", self.0.halted.notified()).await
    }

    /// Lets the stream write all that it has.
    pub fn go_on(&self) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.bytes = None;
        if let Some(waker) = left.waker.take() {
            waker.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HaltingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HaltingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let halt = Arc::clone(&self.halt);
        let mut left = halt.left.lock().unwrap_or_else(PoisonError::into_inner);
        let most = left.bytes.unwrap_or(bytes.len()).min(bytes.len());
        if most == 0 && !bytes.is_empty() {
            left.waker = Some(context.waker().clone());
            halt.halted.notify_one();
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write(context, &bytes[..most]);
        if let (Poll::Ready(Ok(written)), Some(bytes)) = (&written, &mut left.bytes) {
            *bytes -= written;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
