//! The check of the settings that say which proxies may name the addresses of clients.

use super::finding::Finding;
use crate::config::Settings;

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let proxies = &settings.trusted_proxies;
    let mut findings = Vec::new();
    if let Some(everybody) = proxies.iter().find(|network| network.is_everybody()) {
        let found =
            format!("trusted_proxies has {everybody}, so that every client may say which address it has");
        findings.push(Finding::mend("proxies", found, "name the addresses of your proxies alone"));
    }
    let is_hidden = settings.listeners.first().is_some_and(|websocket| websocket.address.ip().is_loopback());
    let says_address = settings.listeners.iter().any(|listener| listener.proxy_protocol);
    if is_hidden && proxies.is_empty() && !says_address {
        let found = "websocket is on loopback, where only a proxy brings clients, and no setting says who that is: all have its address";
        let advice = "trusted_proxies = [\"127.0.0.1\"], and in the proxy X-Forwarded-For: docs/proxies.md";
        findings.push(if settings.max_connections_per_address > 0 {
            let found = format!("{found}, and share max_connections_per_address");
            Finding::mend("proxies", found, advice)
        } else {
            Finding::note("proxies", found, advice)
        });
    }
    if findings.is_empty() {
        findings.push(match proxies.len() {
            0 => Finding::ok("proxies", "none is believed about the addresses of clients"),
            _ => Finding::ok(
                "proxies",
                format!("{} are believed about the addresses of clients", listed(settings)),
            ),
        });
    }
    findings
}

fn listed(settings: &Settings) -> String {
    settings.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
