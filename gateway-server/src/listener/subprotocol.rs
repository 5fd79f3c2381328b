//! The choice among the subprotocols that a client offers.
//!
//! The first offer that is spoken is taken: RFC 6455 has the client order its offers by preference, and most servers choose so. A
//! browser ends a connection whose answer names no offer of its own, and some devices wait for the name forever.

use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::token::protocols;
use crate::protocol::websocket::{SUBPROTOCOL, SUBPROTOCOL_2};

/// Chooses the offer for the answer: one of `spoken`, the subprotocol of connect tokens, or `gateway.2`. It is answered even when a token is
/// refused, as browsers would not read the close frame that says so otherwise.
pub(super) fn choose(request: &Request, spoken: &[String]) -> Option<HeaderValue> {
    let is_spoken = |offer: &str| {
        [SUBPROTOCOL, SUBPROTOCOL_2].contains(&offer) || spoken.iter().any(|name| name == offer)
    };
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
            (&["gateway.resume.x.1, gateway.2, gateway"], Some("gateway.2")),
            (&["mqtt, gateway.2"], Some("mqtt")),
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
