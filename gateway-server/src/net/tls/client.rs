//! TLS as a client: of NATS, and of a webhook.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;

use super::files::{certificates, private_key, roots};

/// Makes the TLS settings: the authorities that the servers' certificates need, without which those count that the system trusts, and
/// the files of this node's certificate and key. The files are read now, so a new file takes effect with the next call.
/// The error is a text for the log.
pub(crate) fn client_config(
    authorities: Option<&Path>,
    certificate: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, String> {
    let about = |path: &Path, reason: &dyn fmt::Display| format!("{}: {reason}", path.display());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(authorities)?);
    let Some((certificate, key)) = certificate else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate).map_err(|reason| about(certificate, &reason))?;
    let private = private_key(key).map_err(|reason| about(key, &reason))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| about(key, &error))
}
