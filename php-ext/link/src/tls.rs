//! TLS to a gateway: which certificates are trusted, and which one this process shows.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::address::Address;
use crate::address::Host;
use crate::target::TlsFiles;

/// All authorities of a system together take fewer bytes.
const MAX_FILE: u64 = 8 << 20;

/// Makes a session that has not begun. The files are read each time, so that new ones count from the next connection on. The
/// error is in words.
pub(crate) fn session(files: &TlsFiles, address: &Address) -> Result<ClientConnection, String> {
    let name = match address {
        Address::Tcp { host: Host::V4(ip), .. } => {
            ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(*ip)))
        }
        Address::Tcp { host: Host::V6(ip), .. } => {
            ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V6(*ip)))
        }
        Address::Tcp { host: Host::Name(name), .. } => {
            ServerName::try_from(name.clone()).map_err(|error| format!("{name}: {error}"))?
        }
        Address::Unix(_) => return Err("a unix socket has none".to_owned()),
    };
    ClientConnection::new(Arc::new(config(files)?), name).map_err(|error| error.to_string())
}

fn config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(authorities(files.authorities.as_deref())?);
    let Some((certificate, key)) = &files.certificate else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate, "gateway.tls_certificate")?;
    let about_key = |error: &dyn std::fmt::Display| format!("{} (gateway.tls_key): {error}", key.display());
    let text = read(key).map_err(|error| about_key(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| about_key(&error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| about_key(&error))
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file, "gateway.tls_ca")? {
                store
                    .add(certificate)
                    .map_err(|error| format!("{} (gateway.tls_ca): {error}", file.display()))?;
            }
        }
        None => {
            // A system may have some that are of no use, which does no harm.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err("this system has no certificates of authorities: set gateway.tls_ca".to_owned());
            }
        }
    }
    Ok(store)
}

/// Reads the certificates of a file; there is at least one.
fn certificates(file: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{} ({setting}): {error}", file.display());
    let text = read(file).map_err(|error| wrong(&error))?;
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"there is no certificate in it, in PEM"));
    }
    Ok(found)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(file)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}
