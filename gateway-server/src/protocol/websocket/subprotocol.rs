//! Names of subprotocols.

/// The subprotocol that is spoken here, whether or not with a token: browsers want an answer to one that they offer.
pub const SUBPROTOCOL: &str = "gateway";
/// What a connect token begins with that a page offers as the name of a subprotocol.
pub const TOKEN_PROTOCOL: &str = "gateway.token.";

/// Whether it can be answered: a name in an answer is a token of HTTP. What begins as connect tokens do is never answered,
/// as it is a secret.
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
