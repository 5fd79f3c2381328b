//! The device that a client names in its request: as a subprotocol `gateway.device.ID`, or as `device=ID` in the query.

use gateway_wire::client_protocol::{is_id, offered_device};
use tokio_tungstenite::tungstenite::handshake::server::Request;

use super::token::protocols;
use crate::inbox::model::Device;

const QUERY: &str = "device=";

/// Gives the device that a request names. What is no name of a device names none.
pub(super) fn offered(request: &Request) -> Option<Device> {
    let query = request.uri().query().unwrap_or_default();
    let in_query = query.split('&').find_map(|part| part.strip_prefix(QUERY)).filter(|name| is_id(name));
    let name = protocols(request).find_map(offered_device).or(in_query)?;
    Some(Device::Invented(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subprotocol_comes_before_the_query() {
        for (uri, offers, expected) in [
            ("/", "gateway.2, gateway.device.a-B_9", Some("a-B_9")),
            ("/?x=1&device=phone", "gateway.2", Some("phone")),
            ("/?device=phone", "gateway.device.laptop", Some("laptop")),
            ("/?device=a.b", "gateway.device.", None),
            ("/?mydevice=a", "mqtt", None),
        ] {
            let mut request = Request::new(());
            *request.uri_mut() = uri.parse().unwrap();
            request.headers_mut().append("sec-websocket-protocol", offers.parse().unwrap());
            let expected = expected.map(|name| Device::Invented(name.into()));
            assert_eq!(offered(&request), expected, "{uri} {offers}");
        }
    }
}
