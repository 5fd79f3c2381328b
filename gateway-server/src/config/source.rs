//! Where the settings come from: the flags and the environment, and the file below them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::file;
use super::invalid::Invalid;
use super::table::{RawConfig, Settings};
use crate::system::Secret;

/// Where the settings come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The flags, and the variables of the environment.
    flags: RawConfig,
    file: Option<PathBuf>,
}

impl Source {
    /// Takes what flags say and, where they say nothing, the environment. Settings in the file count where neither says anything.
    pub(crate) fn new(flags: RawConfig, file: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self { flags: flags.over(RawConfig::from_environment()?), file })
    }

    /// Takes only what says where a server's operations port is, and with which token it answers.
    pub(crate) fn of_operations(
        operations: Option<SocketAddr>,
        operations_token_file: Option<PathBuf>,
        file: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let operations_token = Secret::from_environment("GATEWAY_OPERATIONS_TOKEN")?;
        let flags = RawConfig { operations, operations_token, operations_token_file, ..RawConfig::default() };
        Ok(Self { flags, file })
    }

    /// Reads the file, if there is one, and the files that are named for secrets.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.raw()?.resolve().map_err(|invalid| self.explain(&invalid))
    }

    /// Gives the operations port, and its token or an empty one, whatever else may be wrong.
    pub(crate) fn operations(&self) -> anyhow::Result<(Option<SocketAddr>, Secret)> {
        self.raw()?.operations().map_err(|invalid| self.explain(&invalid))
    }

    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether secrets stand in the file itself.
    pub fn has_secrets_in_file(&self) -> bool {
        let raw = self.file.as_deref().and_then(|path| file::read(path).ok());
        raw.is_some_and(|raw| {
            let secrets = [raw.secret_key, raw.token_key, raw.operations_token, raw.webhook_secret];
            secrets.into_iter().flatten().any(|secret| !secret.is_empty())
        })
    }

    /// The names of the settings in the file that do not count, as a flag or a variable gives them too.
    pub fn hidden(&self) -> anyhow::Result<Vec<&'static str>> {
        Ok(match &self.file {
            Some(path) => self.flags.clone().hiding(file::read(path)?).1,
            None => Vec::new(),
        })
    }

    fn raw(&self) -> anyhow::Result<RawConfig> {
        Ok(match &self.file {
            Some(path) => self.flags.clone().over(file::read(path)?),
            None => self.flags.clone(),
        })
    }

    /// Says what is wrong, and where if it is in the file.
    pub fn explain(&self, invalid: &[Invalid]) -> anyhow::Error {
        match &self.file {
            Some(path) => file::explain(path, invalid),
            None => anyhow!(invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }
}
