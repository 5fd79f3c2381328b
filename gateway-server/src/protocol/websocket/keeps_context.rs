//! Recognizes clients that agree to `client_no_context_takeover` and break it: from their second message on, what they send can
//! be inflated only together with everything that they have sent before, which the server does not keep.
//!
//! Apple's websockets do so from iOS 15.0 to 15.3 and on macOS 12.0 to 12.2. This concerns Safari 15.0 to 15.3, all other
//! browsers and apps that show pages on such an iPhone or iPad, and apps that connect by themselves. Safari 14 makes no such
//! offer, and Safari 15.4 keeps it.

use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;

/// The last broken minor version, in each of the version numbers that Apple uses.
const LAST: u32 = 3;

pub(super) fn is_known_to(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    // Chrome, Edge and Android's browsers name Safari too, but have websockets of their own.
    let is_of_webkit =
        agent.contains("AppleWebKit/") && !agent.contains("Chrome/") && !agent.contains("Android");
    is_of_webkit && (names(agent, "Version/15.") || names(agent, " OS 15_"))
        || agent.contains("CFNetwork/") && names(agent, "Darwin/21.")
}

/// Whether a broken minor version follows these words in the user agent.
fn names(agent: &str, words: &str) -> bool {
    agent.split(words).skip(1).any(|rest| {
        let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().is_ok_and(|minor: u32| minor <= LAST)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_versions_are_told_from_others() {
        let is_known = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            is_known_to(&headers)
        };
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        let phone = |version: &str| {
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS {version} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            )
        };
        for broken in [
            format!("{mac} Version/15.0 Safari/605.1.15"),
            format!("{mac} Version/15.3 Safari/605.1.15"),
            format!("{mac} Version/15.2.1 Safari/605.1.15"),
            format!("{} Version/15.1 Mobile/15E148 Safari/604.1", phone("15_1")),
            format!("{} CriOS/97.0.4692.84 Mobile/15E148 Safari/604.1", phone("15_2_1")),
            format!("{} Mobile/19C63 MicroMessenger/8.0.16(0x18001041) NetType/WIFI", phone("15_3")),
            "Mozilla/5.0 (iPad; CPU OS 15_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148".to_owned(),
            "Shop/7 CFNetwork/1325.0.1 Darwin/21.1.0".to_owned(),
        ] {
            assert!(is_known(&broken), "{broken}");
        }
        for sound in [
            format!("{mac} Version/14.1.2 Safari/605.1.15"),
            format!("{mac} Version/15.4 Safari/605.1.15"),
            format!("{mac} Version/15.30 Safari/605.1.15"),
            format!("{mac} Version/16.0 Safari/605.1.15"),
            format!("{} Version/15.4 Mobile/15E148 Safari/604.1", phone("15_4")),
            phone("14_8"),
            phone("115_1"),
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/97.0 Safari/537.36".to_owned(),
            "Mozilla/5.0 (Linux; Android 12) AppleWebKit/537.36 (KHTML, like Gecko) Version/15.1 Mobile Safari/537.36".to_owned(),
            "Mozilla/5.0 (X11; Linux x86_64; rv:96.0) Gecko/20100101 Firefox/96.0".to_owned(),
            "Shop/7 CFNetwork/1331.0.7 Darwin/21.4.0".to_owned(),
            "Version/15.".to_owned(),
            String::new(),
        ] {
            assert!(!is_known(&sound), "{sound}");
        }
        assert!(!is_known_to(&HeaderMap::new()));
    }
}
