//! The token verifier: it finds a client's connect token in the query or among the websocket subprotocols, and checks it.

use std::sync::Arc;
use std::time::Instant;

use gateway_wire::token::{Claims, MIN_SECRET, TokenError, TokenKey};
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::refusal::Refusal;
use super::replay_cache::{ReplayError, TokenReplayCache, UsedTokens};
use crate::config::Settings;
use crate::inbox::model::Device;
use crate::protocol::close::{self, Close};
use crate::protocol::websocket::TOKEN_PROTOCOL;
use crate::shard::Identity;
use crate::telemetry::clock::seconds_since_epoch;
use crate::telemetry::words::counted;

const TOKEN_QUERY: &str = "token=";

/// Checks connect tokens, and refuses single-use tokens that were used before.
pub struct TokenVerifier {
    settings: Arc<Settings>,
    /// The key that signs the tokens. With `None` all tokens are refused.
    key: Option<TokenKey>,
    /// The ids of the single-use tokens that were used.
    used: Arc<TokenReplayCache>,
}

impl TokenVerifier {
    /// Makes a verifier without a key, which lets in clients without tokens.
    pub fn open() -> Self {
        Self { settings: Arc::default(), key: None, used: Arc::default() }
    }

    /// Makes a verifier by these settings. It inherits the replay cache of this one, so that a token that was used once stays used.
    #[must_use]
    pub fn with(&self, settings: &Arc<Settings>) -> Self {
        let key = match (settings.token_key.as_bytes(), settings.secret_key.as_bytes()) {
            ([], []) => None,
            // A secret that is too short gives no key: the start has warned of it, and the error for each token says so.
            ([], secret) => TokenKey::derived(secret).ok(),
            (key, _) => Some(TokenKey::new(key)),
        };
        Self { settings: Arc::clone(settings), key, used: Arc::clone(&self.used) }
    }

    /// The single-use tokens that were used, for a process that takes over from this one.
    pub fn used(&self) -> UsedTokens {
        self.used.export(Instant::now())
    }

    /// Takes over the used tokens of the process before this one.
    pub fn take_over(&self, used: UsedTokens) {
        self.used.import(used, Instant::now());
    }

    /// Gives the identity in the token of a request, or `None` when it has none and needs none.
    pub(super) fn introduce(&self, token: Option<&str>) -> Result<Option<Box<Identity>>, Refusal> {
        match token {
            None if self.settings.require_token => {
                Err(refuse(close::TOKEN_MISSING, "it brought no token (require_token)"))
            }
            None => Ok(None),
            Some(token) => Ok(Some(Box::new(self.read(token)?))),
        }
    }

    /// Gives the uid in a token that the application has signed, whether or not the token is still good.
    pub(super) fn uid_of(&self, token: &str) -> Option<String> {
        self.key.as_ref()?.signed_uid(token)
    }

    /// Finds the token of a request.
    pub(super) fn find<'r>(&self, request: &'r Request) -> Result<Option<&'r str>, Refusal> {
        let mut tokens: Vec<&str> = Vec::new();
        let query = request.uri().query().unwrap_or_default();
        tokens.extend(query.split('&').filter_map(|part| part.strip_prefix(TOKEN_QUERY)));
        tokens.extend(protocols(request).filter_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL)));
        match tokens[..] {
            [] => Ok(None),
            [token] => Ok(Some(token)),
            _ => Err(refuse(close::TOKEN_REFUSED, "it brought several tokens")),
        }
    }

    fn read(&self, token: &str) -> Result<Identity, Refusal> {
        let Some(key) = &self.key else {
            let reason = format!(
                "it brought a token, and there is no key to read it with: set token_key, or a secret_key of {MIN_SECRET} \
                 bytes or more"
            );
            return Err(refuse(close::TOKEN_REFUSED, &reason));
        };
        let now = seconds_since_epoch();
        let claims = key.verify(token, now).map_err(|error| {
            let close = match error {
                TokenError::Expired(_) => close::TOKEN_EXPIRED,
                _ => close::TOKEN_REFUSED,
            };
            refuse(close, &format!("its token is not good: {error}"))
        })?;
        let identity = self.identity(&claims)?;
        // The use is recorded last, so that a token that is refused for another reason stays unused.
        if let Some(once) = &claims.once {
            self.used.take(once, claims.expires, now, Instant::now()).map_err(|refused| {
                let close = match refused {
                    ReplayError::Full => close::TRY_AGAIN,
                    ReplayError::Used | ReplayError::Unknown => close::TOKEN_REFUSED,
                };
                refuse(close, &refused.to_string())
            })?;
        }
        Ok(identity)
    }

    fn identity(&self, claims: &Claims) -> Result<Identity, Refusal> {
        let session = claims.serialized_session();
        let (max_groups, max_session) = (self.settings.max_groups(), self.settings.max_session_bytes);
        if claims.groups.len() > max_groups || session.len() > max_session {
            let reason = format!(
                "its token has {} and {} of session, and {} and {} are allowed (max_groups_per_client, \
                 max_session_bytes)",
                counted(claims.groups.len(), "group"),
                counted(session.len(), "byte"),
                max_groups,
                max_session
            );
            return Err(refuse(close::TOKEN_REFUSED, &reason));
        }
        let mut groups: Vec<_> = claims.groups.iter().map(|group| group.as_bytes().into()).collect();
        groups.sort_unstable();
        groups.dedup();
        let device = claims.device.as_deref().map(|device| Device::Signed(device.into()));
        Ok(Identity { uid: claims.uid.as_bytes().into(), groups, session: session.into(), device })
    }
}

impl std::fmt::Debug for TokenVerifier {
    /// The key is left out, so that it is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("is_required", &self.settings.require_token)
            .finish_non_exhaustive()
    }
}

/// The subprotocols that a request offers, in the order in which the client prefers them.
pub(super) fn protocols(request: &Request) -> impl Iterator<Item = &str> {
    let headers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    headers.flat_map(|header| header.to_str().unwrap_or_default().split(',').map(str::trim))
}

fn refuse(close: Close, reason: &str) -> Refusal {
    Refusal::token(close, reason.to_owned())
}
