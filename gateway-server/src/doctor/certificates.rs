//! Certificates: whether clients accept them now and in two weeks, and for which names.

use std::path::Path;
use std::time::Duration;

use super::clock::in_words;
use super::finding::Finding;
use crate::config::{Listener, Settings};
use crate::net::PublicUrl;
use crate::net::tls::{Rejection, Trust, judge};
use crate::telemetry::clock;
use crate::telemetry::words::plural;

/// Certificates of 90 days are renewed a month before they end, so that one that ends so soon is not being renewed.
const SOON: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn look(settings: &Settings, public_url: Option<&PublicUrl>) -> Vec<Finding> {
    let mut files: Vec<(&Path, Vec<String>)> = Vec::new();
    for listener in &settings.listeners {
        let Some(file) = listener.tls_certificate.as_deref() else { continue };
        let mut names = names(listener);
        // Behind a proxy the public name is that of the proxy's certificate.
        let is_of_url = |url: &&PublicUrl| {
            url.is_tls() && url.port() == listener.address.port() && !names.contains(&url.host().to_owned())
        };
        names.extend(public_url.filter(is_of_url).map(|url| url.host().to_owned()));
        if !files.iter().any(|(known, _)| *known == file) {
            files.push((file, names));
        }
    }
    files.extend(settings.register_tls_certificate.as_deref().map(|file| (file, Vec::new())));
    if files.is_empty() {
        return vec![Finding::skipped("certificates", "no setting names one")];
    }
    files.into_iter().flat_map(|(file, names)| of_file(file, &names)).collect()
}

/// The host names under which clients are let in, without those that stand for several.
fn names(listener: &Listener) -> Vec<String> {
    let names = listener.hosts.iter().filter(|host| !host.contains('*'));
    names.map(|host| host.split(':').next().unwrap_or_default().to_owned()).collect()
}

fn of_file(file: &Path, names: &[String]) -> Vec<Finding> {
    let name = file.display();
    let now = clock::since_epoch();
    let renew = "renew it: the server takes the new files by itself, without a restart";
    match judge(file, None, now, Trust::Itself) {
        Err(Rejection::Unreadable(reason)) => {
            return vec![Finding::mend(
                "certificates",
                format!("{name}: {reason}"),
                "give a PEM file that the server's user may read",
            )];
        }
        Err(Rejection::Expired(end)) => {
            return vec![Finding::mend("certificates", format!("{name} ended on {}", in_words(end)), renew)];
        }
        Err(Rejection::NotYet(begin)) => {
            let found = format!("{name} begins on {} only", in_words(begin));
            return vec![Finding::mend("certificates", found, "see whether the clock is right")];
        }
        _ => {}
    }
    let mut findings = Vec::new();
    if let Err(Rejection::Expired(end)) = judge(file, None, now + SOON, Trust::Itself) {
        let days = end.saturating_sub(now.as_secs()) / 86_400;
        let found = format!("{name} ends on {}, in {days} {}", in_words(end), plural(days, "day"));
        findings.push(Finding::mend(
            "certificates",
            found,
            format!("{renew}; see why that has not happened"),
        ));
    }
    for wanted in names {
        if let Err(Rejection::OtherNames(there)) = judge(file, Some(wanted), now, Trust::Itself) {
            let found = format!("{name} is not for {wanted}, but for {}", there.join(", "));
            findings.push(Finding::mend("certificates", found, "have one made that names it too"));
        }
    }
    if judge(file, None, now, Trust::System) == Err(Rejection::UnknownIssuer) {
        let found = format!(
            "no authority that this machine believes vouches for {name}, so that browsers may refuse it"
        );
        let advice = "put the certificates between it and its authority behind it in the file (fullchain.pem); for an authority of your own nothing is to be done";
        findings.push(Finding::note("certificates", found, advice));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("certificates", format!("{name} is good, for two weeks at least")));
    }
    findings
}
