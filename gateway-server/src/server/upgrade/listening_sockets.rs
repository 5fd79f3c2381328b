//! Second handles of the listening sockets: they keep the ports open while nobody accepts, and pass to the next process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::config::Settings;
use crate::handover::{ListeningSocket, Port};
use crate::php::{GiveAway, RegisterPort};
use crate::server::ports::Ports;

/// The listening sockets, in the order of [`listed`].
pub(crate) struct ListeningSockets {
    clients: Vec<OwnedFd>,
    register: Vec<OwnedFd>,
    operations: Option<OwnedFd>,
    /// The files of unix sockets, which the ports remove at their end unless they were given away.
    files: Vec<GiveAway>,
}

/// The listening sockets as the settings have them.
pub(crate) fn listed(settings: &Settings) -> Vec<ListeningSocket> {
    let socket = |port, address: String| ListeningSocket { port, address };
    let clients = settings.listeners.iter().map(|listener| {
        socket(Port::Clients(listener.protocol.name().to_owned()), listener.address.to_string())
    });
    let register = settings.register.iter().map(|address| socket(Port::Register, address.to_string()));
    let unix =
        settings.register_unix.iter().map(|path| socket(Port::RegisterUnix, path.display().to_string()));
    let operations = settings.operations.iter().map(|address| socket(Port::Operations, address.to_string()));
    clients.chain(register).chain(unix).chain(operations).collect()
}

impl ListeningSockets {
    /// Makes second handles of the sockets of these ports.
    pub(crate) fn of(ports: &Ports) -> io::Result<Self> {
        let second = |listener: &TcpListener| listener.as_fd().try_clone_to_owned();
        Ok(Self {
            clients: ports.clients.iter().map(second).collect::<io::Result<_>>()?,
            register: ports
                .register
                .iter()
                .map(|port| port.as_fd().try_clone_to_owned())
                .collect::<io::Result<_>>()?,
            operations: ports.operations.as_ref().map(second).transpose()?,
            files: ports.register.iter().filter_map(RegisterPort::give_away).collect(),
        })
    }

    /// Opens the ports of the process before this one, which has listed its sockets as the settings here do. The files of unix sockets
    /// stay the other process's until [`ListeningSockets::own_files`] is called.
    pub(crate) fn passed(settings: &Settings, sockets: Vec<OwnedFd>) -> anyhow::Result<(Self, Ports)> {
        let mut sockets = sockets.into_iter();
        let mut next = || sockets.next().context("fewer listening sockets came than the settings have");
        let mut clients = Vec::new();
        for listener in &settings.listeners {
            clients.push(open(next()?).with_context(|| format!("the listener {}", listener.address))?);
        }
        let mut register = Vec::new();
        for address in &settings.register {
            register.push(RegisterPort::tcp_again(next()?).with_context(|| format!("register {address}"))?);
        }
        if let Some(path) = &settings.register_unix {
            let port = RegisterPort::unix_again(next()?, path)?;
            port.give_away().iter().for_each(GiveAway::forget_file);
            register.push(port);
        }
        let operations = match settings.operations {
            Some(_) => Some(open(next()?).context("the operations port")?),
            None => None,
        };
        let ports = Ports { clients, register, operations };
        Ok((Self::of(&ports)?, ports))
    }

    /// Opens the ports that this process has had before it executed itself anew, if its settings still name them.
    pub(crate) fn kept(
        settings: &Settings,
        listeners: &[ListeningSocket],
        sockets: Vec<OwnedFd>,
    ) -> Option<(Self, Ports)> {
        let is_same = !sockets.is_empty() && listeners == listed(settings);
        let (sockets, ports) = is_same.then(|| Self::passed(settings, sockets))?.ok()?;
        sockets.own_files();
        Some((sockets, ports))
    }

    /// The sockets, for another process.
    pub(crate) fn all(&self) -> Vec<BorrowedFd<'_>> {
        self.clients.iter().chain(&self.register).chain(&self.operations).map(AsFd::as_fd).collect()
    }

    /// Opens the clients' ports and the operations port again, on which nobody accepts now.
    pub(crate) fn reopen(&self) -> anyhow::Result<(Vec<TcpListener>, Option<TcpListener>)> {
        let again = |socket: &OwnedFd| open(socket.try_clone()?);
        let clients = self.clients.iter().map(again).collect::<io::Result<_>>().context("a listener")?;
        let operations = self.operations.as_ref().map(again).transpose().context("the operations port")?;
        Ok((clients, operations))
    }

    /// Closes the clients' ports for good.
    pub(crate) fn close_clients(&mut self) {
        self.clients.clear();
    }

    /// The files of unix sockets belong to this process from now on.
    pub(crate) fn own_files(&self) {
        self.files.iter().for_each(GiveAway::own_file);
    }

    /// The files of unix sockets belong to another process from now on.
    pub(crate) fn give_files_away(&self) {
        self.files.iter().for_each(GiveAway::forget_file);
    }
}

fn open(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
