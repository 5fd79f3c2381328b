//! Certificates: read from files, used for those who come, read again when the files change.

mod certificate;
mod certificates;
mod files;
mod watch;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub use files::{CertificateError, Files};
pub(crate) use files::{authorities, certificates, private_key};
pub use watch::watch;

/// With which every ClientHello begins: the type of its record.
pub const FIRST_BYTE: u8 = 22;
