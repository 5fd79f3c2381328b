//! TLS certificates: they are read from files, used for new connections, and read again when the files change.

mod certificate;
mod certificates;
mod files;
mod watch;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub use files::{CertificateError, Files};
pub(crate) use files::{certificates, private_key, roots};
pub use watch::watch;

/// The first byte of a TLS connection: the record type of a handshake, with which every ClientHello begins.
pub const FIRST_BYTE: u8 = 22;
