//! Judges a certificate as the clients to whom it is shown do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};

use super::files::{certificates, roots};

/// Who is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities of the system.
    System,
    /// These and the last certificate of the file itself, so that only time and name are judged.
    Itself,
}

/// Why clients refuse a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    Unreadable(String),
    /// It has ended, at this unix time in seconds.
    Expired(u64),
    /// It begins later.
    NotYet(u64),
    /// It is for these names.
    OtherNames(Vec<String>),
    /// No authority that is believed vouches for it.
    UnknownIssuer,
    Other(String),
}

/// Judges the certificate of a file at a unix time, for a name if there is one.
pub fn judge(file: &Path, name: Option<&str>, at: Duration, trust: Trust) -> Result<(), Rejection> {
    let chain = certificates(file).map_err(Rejection::Unreadable)?;
    let [own, between @ ..] = &chain[..] else {
        return Err(Rejection::Unreadable("it has no certificate".to_owned()));
    };
    let mut believed: RootCertStore = roots(None).map_err(Rejection::Unreadable)?;
    if trust == Trust::Itself {
        believed.add_parsable_certificates(chain.last().cloned());
    }
    if believed.is_empty() {
        return Err(Rejection::UnknownIssuer);
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(believed), provider)
        .build()
        .map_err(|error| Rejection::Other(error.to_string()))?;
    let asked = name.unwrap_or("name.invalid");
    let asked = ServerName::try_from(asked).map_err(|error| Rejection::Other(format!("{asked}: {error}")))?;
    let judged = verifier.verify_server_cert(own, between, &asked, &[], UnixTime::since_unix_epoch(at));
    match judged {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(error)) => match error {
            CertificateError::ExpiredContext { not_after, .. } => {
                Err(Rejection::Expired(not_after.as_secs()))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                Err(Rejection::NotYet(not_before.as_secs()))
            }
            CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName
                if name.is_none() =>
            {
                Ok(())
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                Err(Rejection::OtherNames(presented.iter().map(|name| bare(name)).collect()))
            }
            CertificateError::UnknownIssuer => Err(Rejection::UnknownIssuer),
            error => Err(Rejection::Other(error.to_string())),
        },
        Err(error) => Err(Rejection::Other(error.to_string())),
    }
}

/// A name without the kind that the library writes around it, as in `DnsName("localhost")`.
fn bare(presented: &str) -> String {
    let inner = presented.split_once('(').map_or(presented, |(_, inner)| inner.trim_end_matches(')'));
    inner.trim_matches('"').to_owned()
}
