//! The ports of the server: bound before anything else starts, as a port that is taken ends the start.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::admin;
use crate::config::{Listener, Settings};
use crate::net::bind_for_clients;
use crate::php::RegisterPort;

/// The port in client ids of a server whose register port is a unix socket alone.
const USUAL_REGISTER_PORT: u16 = 1238;

/// The bound ports.
pub(super) struct Ports {
    /// The ports of the listeners for clients, in the order of the settings.
    pub(super) clients: Vec<TcpListener>,
    pub(super) register: Vec<RegisterPort>,
    pub(super) operations: Option<TcpListener>,
}

impl Ports {
    pub(super) fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let bind = |one: &Listener| bind_for_clients(one.address, settings.reuse_port, one.protocol.name());
        let clients = settings.listeners.iter().map(bind).collect::<Result<_, _>>()?;
        let tcp = settings.register.iter().map(|address| RegisterPort::tcp(*address));
        let unix = settings.register_unix.iter().map(|path| RegisterPort::unix(path));
        let register = tcp.chain(unix).collect::<Result<_, _>>()?;
        let operations = settings.operations.map(admin::bind).transpose()?;
        Ok(Self { clients, register, operations })
    }

    /// The address in the client ids when no setting names one: the first register address that other machines could use, else
    /// loopback with its port. A client id has room for an IPv4 address only.
    pub(super) fn node_address(&self) -> SocketAddrV4 {
        let addresses: Vec<_> = self.register.iter().filter_map(RegisterPort::address).collect();
        let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        match first {
            Some(SocketAddr::V4(address)) if !address.ip().is_unspecified() => *address,
            Some(address) => {
                if address.is_ipv6() && !address.ip().is_loopback() {
                    warn!(
                        "client ids have no room for the IPv6 address {address}, and name 127.0.0.1:{}: if there are several \
                         servers, set node to an IPv4 address that is another for each",
                        address.port()
                    );
                }
                SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port())
            }
            None => SocketAddrV4::new(Ipv4Addr::LOCALHOST, USUAL_REGISTER_PORT),
        }
    }

    /// Logs the line that says where the server listens, for people and for programs that wait for it.
    pub(super) fn announce(&self, settings: &Settings) -> anyhow::Result<()> {
        let mut clients = Vec::new();
        for (listener, socket) in settings.listeners.iter().zip(&self.clients) {
            clients.push((listener.protocol, socket.local_addr()?));
        }
        let others: Vec<_> =
            clients.iter().skip(1).map(|(protocol, address)| format!("{protocol}://{address}")).collect();
        let websocket = clients.first().map_or_else(String::new, |(_, address)| address.to_string());
        let mut register: Vec<_> = self
            .register
            .iter()
            .filter_map(RegisterPort::address)
            .map(|address| address.to_string())
            .collect();
        register.extend(settings.register_unix.as_ref().map(|path| format!("unix://{}", path.display())));
        let others = Some(others.join(",")).filter(|others| !others.is_empty());
        let operations = self.operations.as_ref().map(TcpListener::local_addr).transpose()?;
        info!(
            %websocket,
            register = %register.join(","),
            listeners = others.map(display),
            operations = operations.map(display),
            "gateway-server {} ready",
            env!("CARGO_PKG_VERSION"),
        );
        Ok(())
    }

    /// Warns of register ports on which any user of this machine could listen in the server's place.
    pub(super) fn warn_of_open_register(&self, settings: &Settings) {
        if settings.secret_key.is_empty() && !settings.register.is_empty() {
            warn!(
                "no secret_key is set: all users of this machine may push, handle events, and listen here while the server is down"
            );
        }
        for folder in self.register.iter().filter_map(RegisterPort::open_folder) {
            warn!(
                "register_unix: all users of this machine may listen in {} while the server is down; choose a folder that is its user's alone",
                folder.display()
            );
        }
    }
}
