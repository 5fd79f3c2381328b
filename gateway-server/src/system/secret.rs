//! A text that is never printed.

use std::env::VarError;
use std::fmt;

use serde::Deserialize;

/// A secret. An empty one stands for none. `Debug` shows whether there is one, and nothing else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Reads a secret from an environment variable. Gives `None` if the variable is not set.
    pub fn from_environment(variable: &str) -> anyhow::Result<Option<Self>> {
        match std::env::var(variable) {
            Ok(secret) => Ok(Some(Self(secret))),
            Err(VarError::NotPresent) => Ok(None),
            // The error that the library gives here would print the secret.
            Err(VarError::NotUnicode(_)) => anyhow::bail!("{variable}: it is not UTF-8"),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Reads a secret from a TOML value. Serde's own error would print the value if it is not a string.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("it must be a string, between quotes")),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "(none)" } else { "(set)" })
    }
}
