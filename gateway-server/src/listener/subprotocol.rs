//! Which of the subprotocols that a client offers is answered.
//!
//! The first of its own list counts, as RFC 6455 has the client order it by what it prefers, and as most servers choose. A
//! browser ends a connection whose answer names none of those that it offered, or one that it did not; some devices wait for
//! theirs for ever.

use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::token::protocols;
use crate::protocol::websocket::SUBPROTOCOL;

/// The answer to a request: one of `spoken` or that of connect tokens. It is given even when a token is refused: browsers would
/// else not come to the close frame that says so.
pub(super) fn choose(request: &Request, spoken: &[String]) -> Option<HeaderValue> {
    let is_spoken = |offer: &str| offer == SUBPROTOCOL || spoken.iter().any(|name| name == offer);
    protocols(request).find(|offer| is_spoken(offer)).and_then(|offer| HeaderValue::from_str(offer).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_client_that_is_spoken() {
        let spoken = ["wamp", "mqtt"].map(str::to_owned);
        for (offers, expected) in [
            (&["mqtt"][..], Some("mqtt")),
            (&["mqtt, wamp"], Some("mqtt")),
            (&["soap", " wamp ,mqtt"], Some("wamp")),
            (&["gateway.token.x, mqtt"], Some("mqtt")),
            (&["mqtt, gateway, gateway.token.x"], Some("mqtt")),
            (&["gateway.token.x, gateway"], Some("gateway")),
            (&["MQTT, mqtt2, ,"], None),
            (&[], None),
        ] {
            let mut request = Request::new(());
            for offer in offers {
                request.headers_mut().append("sec-websocket-protocol", offer.parse().unwrap());
            }
            let chosen = choose(&request, &spoken);
            assert_eq!(chosen.as_ref().map(|chosen| chosen.to_str().unwrap()), expected, "{offers:?}");
        }
    }
}
