//! Secrets: whether others can guess or read them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gateway_wire::token::MIN_SECRET;

use super::finding::Finding;
use crate::config::{Settings, Source};
use crate::system::Secret;

/// Different bytes that a random secret of [`MIN_SECRET`] bytes has at least, but once in a million times.
const VARIETY: usize = 7;
/// What stands in examples, and in lists of those who guess.
const KNOWN: [&str; 10] = [
    "secret",
    "password",
    "changeme",
    "change-me",
    "123456",
    "admin",
    "gateway",
    "test",
    "the same everywhere",
    "local",
];

pub(super) fn look(source: &Source, settings: &Settings) -> Vec<Finding> {
    let named = [
        ("secret_key", &settings.secret_key),
        ("token_key", &settings.token_key),
        ("operations_token", &settings.operations_token),
        ("webhook_secret", &settings.webhook_secret),
    ];
    let given: Vec<_> = named.into_iter().filter(|(_, secret)| !secret.is_empty()).collect();
    let mut findings: Vec<_> = given.iter().filter_map(|(name, secret)| weak(name, secret)).collect();
    for (index, (name, secret)) in given.iter().enumerate() {
        if let Some((other, _)) = given[..index].iter().find(|(_, other)| other == secret) {
            let found = format!(
                "{name} is the same as {other}, so that whoever knows one may do what the other permits"
            );
            findings.push(Finding::mend("secrets", found, format!("{MAKE} for {name}")));
        }
    }
    let files = [
        &settings.secret_key_file,
        &settings.token_key_file,
        &settings.operations_token_file,
        &settings.webhook_secret_file,
    ];
    let config = source.file().filter(|_| source.has_secrets_in_file());
    findings.extend(
        files.into_iter().flatten().map(|file| file.as_path()).chain(config).filter_map(readable_by_all),
    );
    if settings.secret_key.is_empty() {
        let found = "no secret_key is set, so that all users of this machine may push and handle events";
        let advice = "nothing on a machine that is the server's alone; else secret_key_file, and gateway.secret_key in php.ini";
        findings.push(Finding::note("secrets", found, advice));
    } else if findings.is_empty() {
        let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
        findings.push(Finding::ok(
            "secrets",
            format!("{} cannot be guessed or read by others", names.join(", ")),
        ));
    }
    findings
}

const MAKE: &str = "make a new one, as by `openssl rand -base64 32`,";

fn weak(name: &str, secret: &Secret) -> Option<Finding> {
    let bytes = secret.as_bytes();
    let different: BTreeSet<_> = bytes.iter().collect();
    let lower = bytes.to_ascii_lowercase();
    let why = if KNOWN.iter().any(|known| known.as_bytes() == lower) {
        "is one that stands in examples".to_owned()
    } else if bytes.len() < MIN_SECRET {
        format!("has {} bytes", bytes.len())
    } else if different.len() < VARIETY {
        format!("is made of {} different bytes", different.len())
    } else {
        return None;
    };
    let found = format!("{name} {why}, and can be guessed");
    Some(Finding::mend("secrets", found, format!("{MAKE} for {name}")))
}

fn readable_by_all(file: &Path) -> Option<Finding> {
    let mode = file.metadata().ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        let name = file.display();
        let found = format!("{name} has a secret, and all users of this machine may read it");
        Finding::mend("secrets", found, format!("chmod o-rwx {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_told() {
        let is_weak = |secret: &str| weak("secret_key", &Secret::new(secret)).is_some();
        for secret in ["Secret", "short", "aaaaaaaaaaaaaaaaaaaaaaaa", "the same everywhere"] {
            assert!(is_weak(secret), "{secret}");
        }
        assert!(!is_weak("kS8vq2nP0fWm7xTe"));
    }
}
