//! The names of websocket subprotocols.

/// The subprotocol that the server speaks, with or without a connect token. A page offers it beside its token, because browsers
/// want one of the names that they offer in the answer.
pub const SUBPROTOCOL: &str = "gateway";
/// The subprotocol of clients that count messages, so that they can come back and have missed nothing: docs/client-protocol.md.
pub const SUBPROTOCOL_2: &str = "gateway.2";
/// The prefix of a subprotocol name that carries a connect token.
pub const TOKEN_PROTOCOL: &str = "gateway.token.";

/// The prefix of a subprotocol name that carries a resume secret.
const RESUME_PROTOCOL: &str = "gateway.resume.";

/// Whether a setting may name this subprotocol for the server to answer with. The name must be a token of HTTP. A name with the
/// prefix of connect tokens or of resume secrets is never sent back, as it is a secret.
pub fn is_subprotocol(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && ![TOKEN_PROTOCOL, RESUME_PROTOCOL].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_of_http_and_no_secrets() {
        assert!(is_subprotocol("v10.stomp") && is_subprotocol("mqttv3.1"));
        for name in ["", "a b", "a,b", "ü", "a\r\nb", "gateway.token.x", "gateway.resume.x"] {
            assert!(!is_subprotocol(name), "{name:?}");
        }
    }
}
