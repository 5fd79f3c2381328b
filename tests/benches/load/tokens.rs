//! The connect tokens of clients.

use std::time::{SystemTime, UNIX_EPOCH};

use gateway_wire::token::{Claims, TokenKey};

/// The key by which the server checks tokens.
pub(crate) const TOKEN_KEY: &str = "a secret of thirty-two bytes, at least";
/// How long a token is good, in seconds: longer than a run.
const GOOD_FOR: u64 = 3600;

/// Makes a token for each client, with a uid of its own, which can be used once.
pub(crate) struct Tokens {
    key: TokenKey,
    made: usize,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { key: TokenKey::new(TOKEN_KEY.as_bytes()), made: 0 }
    }

    /// The path with the next token.
    pub(crate) fn next_path(&mut self) -> anyhow::Result<String> {
        self.made += 1;
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + GOOD_FOR;
        let (uid, once) = (self.made.to_string(), Some(format!("t{}", self.made)));
        let claims = Claims { uid, expires, once, ..Claims::default() };
        Ok(format!("/?token={}", self.key.mint(&claims)?))
    }
}
