//! Secrets that stand in files, as flags and variables show more than they should.

use std::path::{Path, PathBuf};

use super::invalid::Checks;
use super::table::RawConfig;
use crate::system::{Secret, files};

/// Bytes of a file whose first line is a secret.
const MAX_SECRET_FILE: u64 = 64 << 10;

impl RawConfig {
    /// Reads the files that are named for secrets. What is given back has their content, where `self` has their names alone.
    pub(super) fn with_secrets_of_files(self, checks: &mut Checks) -> Self {
        let mut of = |key, secret, file: &Option<PathBuf>| from_file(key, secret, file.as_deref(), checks);
        Self {
            secret_key: of(["secret_key", "secret_key_file"], self.secret_key, &self.secret_key_file),
            token_key: of(["token_key", "token_key_file"], self.token_key, &self.token_key_file),
            operations_token: of(
                ["operations_token", "operations_token_file"],
                self.operations_token,
                &self.operations_token_file,
            ),
            webhook_secret: of(
                ["webhook_secret", "webhook_secret_file"],
                self.webhook_secret,
                &self.webhook_secret_file,
            ),
            ..self
        }
    }
}

/// Gives the secret, or the first line of the file: not both may be there.
fn from_file(
    [name, file_name]: [&'static str; 2],
    secret: Option<Secret>,
    file: Option<&Path>,
    checks: &mut Checks,
) -> Option<Secret> {
    let Some(path) = file else { return secret };
    if secret.is_some() {
        checks.refuse(file_name, format!("{name} is given too: leave one of them out"));
        return None;
    }
    match files::read_text(path, MAX_SECRET_FILE) {
        Ok(text) => match text.lines().next().filter(|line| !line.is_empty()) {
            Some(line) => return Some(Secret::new(line)),
            None => checks.refuse(file_name, format!("the first line of {} is empty", path.display())),
        },
        Err(error) => checks.refuse(file_name, format!("{}: {error}", path.display())),
    }
    None
}
