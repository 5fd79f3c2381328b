//! `gateway-server doctor`: tries what commonly is wrong with a machine, its network and the settings, and says what to do.
//!
//! It works beside a server that runs, which it asks instead of binding its ports, and before the first start.

mod certificates;
mod clock;
mod conntrack;
mod finding;
mod kernel;
mod limits;
mod nats;
mod ports;
mod proxies;
mod public_url;
mod reach;
mod register;
mod running;
mod secrets;
mod store;

use serde_json::json;

use crate::admin::cli;
use crate::config::{Settings, Source};
use crate::net::PublicUrl;
use crate::telemetry::words::counted;
use finding::{Finding, Verdict};

/// Everything that was found.
#[derive(Debug)]
pub struct Report(Vec<Finding>);

impl Report {
    /// The number of things that are to be mended.
    pub fn to_mend(&self) -> usize {
        self.0.iter().filter(|finding| finding.result == Verdict::Mend).count()
    }

    /// Prints a line for each finding, or all of them as one JSON object.
    pub fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let to_mend = self.to_mend();
        if as_json {
            let report = json!({"version": env!("CARGO_PKG_VERSION"), "to_mend": to_mend, "checks": self.0});
            return cli::print(&(serde_json::to_string_pretty(&report)? + "\n"));
        }
        let lines: String = self.0.iter().map(Finding::line).collect();
        let end = match to_mend {
            0 => "nothing is to be mended\n".to_owned(),
            number => format!("{} to be mended\n", counted(number, "thing")),
        };
        cli::print(&(lines + &end))
    }
}

/// Makes all checks, one after another. `public_url` is where browsers find the server, if that is to be tried.
pub async fn examine(source: &Source, public_url: Option<&PublicUrl>) -> Report {
    let settings = match source.settings() {
        Ok(settings) => settings,
        Err(error) => {
            let wrong = format!("{error:#}");
            let advice = "correct it; gateway-server --help explains each setting";
            let mut findings: Vec<_> =
                wrong.lines().map(|line| Finding::mend("settings", line, advice)).collect();
            findings.push(kernel::backlog());
            findings.push(clock::look());
            findings.push(Finding::skipped("others", "they need settings that are right"));
            return Report(findings);
        }
    };
    Report(of_settings(source, &settings, public_url).await)
}

async fn of_settings(source: &Source, settings: &Settings, public_url: Option<&PublicUrl>) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", described(source))];
    let logins = register::log_in(settings).await;
    let (running, found) = running::look(settings, &logins).await;
    findings.extend(found);
    findings.extend(ports::look(settings, &running).await);
    findings.extend(register::look(&logins, running.is_there()));
    findings.push(limits::descriptors(settings, &running));
    findings.push(limits::memory(settings, &running));
    findings.push(kernel::backlog());
    findings.push(kernel::io_uring(settings));
    findings.push(conntrack::look(settings, &running));
    findings.push(clock::look());
    findings.extend(certificates::look(settings, public_url));
    findings.extend(secrets::look(source, settings));
    findings.extend(store::look(settings));
    findings.extend(nats::look(settings).await);
    findings.extend(proxies::look(settings));
    findings.extend(public_url::look(settings, public_url).await);
    findings
}

fn described(source: &Source) -> String {
    match source.file() {
        Some(file) => format!("{} is right, with the variables and flags over it", file.display()),
        None => "no file is named by --config; variables, flags and defaults are right".to_owned(),
    }
}
