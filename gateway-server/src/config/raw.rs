//! What one source says, and how a source is laid over another.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::flag::from_flag;
use super::kind::HasEndpoint;
use super::table::table;
use super::table::{RawConfig, RawListener};
use crate::protocol::Protocol;

from_flag!(RawListener);

impl RawConfig {
    /// What `self` says, and `below` where it says nothing.
    pub(super) fn over(self, below: Self) -> Self {
        self.hiding(below).0
    }
}

impl Args for RawConfig {
    fn augment_args(command: Command) -> Command {
        command.args(table().into_iter().filter_map(|row| row.flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RawConfig {
    fn from_arg_matches(flags: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::from_flags(&mut flags.clone()))
    }

    fn update_from_arg_matches(&mut self, flags: &ArgMatches) -> Result<(), clap::Error> {
        let below = std::mem::take(self);
        *self = Self::from_arg_matches(flags)?.over(below);
        Ok(())
    }
}

impl HasEndpoint for RawListener {
    type Endpoint = (Protocol, SocketAddr);

    fn endpoint(&self) -> Self::Endpoint {
        (self.protocol, self.address)
    }
}

impl FromStr for RawListener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let protocols = Protocol::ALL.map(Protocol::name).join(", ");
        let example = "a listener is PROTOCOL://ADDRESS:PORT, as text://0.0.0.0:8283";
        let (protocol, address) = text.split_once("://").ok_or(example)?;
        let protocol = Protocol::ALL
            .into_iter()
            .find(|one| one.name() == protocol)
            .ok_or_else(|| format!("there is no protocol {protocol}; the protocols are {protocols}"))?;
        let address = address.parse().map_err(|error| format!("{address}: {error}; {example}"))?;
        Ok(Self::new(protocol, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_protocol_and_address() {
        let text: RawListener = "text://127.0.0.1:8283".parse().unwrap();
        assert_eq!((text.protocol, text.address.port()), (Protocol::Text, 8283));
        for (wrong, reason) in [
            ("127.0.0.1:8283", "PROTOCOL://ADDRESS:PORT"),
            ("smtp://127.0.0.1:25", "no protocol smtp; the protocols are websocket, text, frame, tcp"),
            ("text://8283", "8283: invalid socket address"),
        ] {
            let error = wrong.parse::<RawListener>().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
