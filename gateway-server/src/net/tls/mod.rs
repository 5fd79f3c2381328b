//! TLS: certificates, which are read from files and read again when these change, and the sessions of clients.

mod certificate;
mod certificates;
mod client;
mod files;
mod judge;
mod pending_bytes;
mod session;
mod stream;
mod watch;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub(crate) use client::client_config;
pub use files::{CertificateError, Files};
pub use judge::{Rejection, Trust, judge};
pub use session::{ENCRYPTED_AT_ONCE, TlsSession};
pub use stream::TlsStream;
pub use watch::watch;

/// The first byte of a TLS connection: the record type of a handshake, with which every ClientHello begins.
pub const FIRST_BYTE: u8 = 22;
