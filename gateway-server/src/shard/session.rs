//! A client's session: the bytes of a PHP array as `serialize()` gives them.

use gateway_wire::php_serialize::{self, Malformed};

/// Longest session by default, in bytes.
pub const MAX_SESSION: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("the session is no serialized PHP array: {0}")]
    Malformed(Malformed),
    #[error(
        "the session would be too long: its bytes are more than the {limit} allowed (max_session_bytes); it is left as it was"
    )]
    TooLarge { limit: usize },
}

/// No bytes until PHP sets some.
#[derive(Default)]
pub(super) struct Session(Option<Box<[u8]>>);

impl Session {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn set(&mut self, serialized: &[u8]) {
        self.0 = (!serialized.is_empty()).then(|| serialized.into());
    }

    /// `array_replace_recursive(session, changes)`, of at most `limit` bytes. On an error the session is left as it was.
    pub(super) fn update(&mut self, changes: &[u8], limit: usize) -> Result<(), SessionError> {
        let merged = match self.bytes() {
            [] if changes.len() > limit => return Err(SessionError::TooLarge { limit }),
            [] => changes.to_vec(),
            old => php_serialize::replace_recursive(old, changes, limit)?,
        };
        self.set(&merged);
        Ok(())
    }
}

impl From<Malformed> for SessionError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooLong { limit } => Self::TooLarge { limit },
            malformed => Self::Malformed(malformed),
        }
    }
}
