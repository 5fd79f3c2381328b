//! TLS certificates: they are read from files, used for new connections, and read again when the files change.

mod certificate;
mod certificates;
mod client;
mod files;
mod judge;
mod watch;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub(crate) use client::client_config;
pub use files::{CertificateError, Files};
pub use judge::{Rejection, Trust, judge};
pub use watch::watch;

/// The first byte of a TLS connection: the record type of a handshake, with which every ClientHello begins.
pub const FIRST_BYTE: u8 = 22;
