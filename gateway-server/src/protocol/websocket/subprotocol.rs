//! The names of websocket subprotocols.

/// The subprotocol that the server speaks, with or without a connect token. A page offers it beside its token, because browsers
/// want one of the names that they offer in the answer.
pub const SUBPROTOCOL: &str = "gateway";
/// The prefix of a subprotocol name that carries a connect token.
pub const TOKEN_PROTOCOL: &str = "gateway.token.";

/// Whether the server may answer with this subprotocol. The name must be a token of HTTP. A name with the prefix of connect
/// tokens is never sent back, as it is a secret.
pub fn is_subprotocol(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token) && !name.starts_with(TOKEN_PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_of_http_and_none_of_connect_tokens() {
        assert!(is_subprotocol("v10.stomp") && is_subprotocol("mqttv3.1"));
        for name in ["", "a b", "a,b", "ü", "a\r\nb", "gateway.token.x"] {
            assert!(!is_subprotocol(name), "{name:?}");
        }
    }
}
