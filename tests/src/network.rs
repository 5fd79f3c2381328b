//! A network namespace for a single test: tests make faults in it, or use the default ports there, which the tutorial's code
//! has written in.

use std::io::{self, Read as _};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use socket2::{Protocol, Socket, Type};

use crate::skip;

/// The addresses that the scenarios listen on.
const DEFAULTS: [&str; 4] = ["0.0.0.0:8282", "127.0.0.1:1238", "127.0.0.1:1236", "127.0.0.1:8080"];

/// Only one scenario runs at a time: they are heavy, and where there is only the machine's network they share its ports.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `scenario`, and all that it starts, in a network of its own. Without root there is only the machine's network: the
/// scenario runs there if the default ports are free, and is skipped otherwise.
pub fn on_default_ports(
    test: &str,
    scenario: impl AsyncFnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    on_own_thread(test, || {
        if !enter_own_network()?
            && let Some(taken) = DEFAULTS.iter().find(|address| TcpListener::bind(address).is_err())
        {
            skip(test, &format!("no network of its own without root, and on this machine {taken} is taken"));
            return Ok(());
        }
        run(scenario)
    })
}

/// Runs `scenario`, and all that it starts, in a network of its own; skips it without root.
pub fn in_own_network(
    test: &str,
    scenario: impl AsyncFnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    on_own_thread(test, || {
        if !enter_own_network()? {
            skip(test, "no network of its own without root");
            return Ok(());
        }
        run(scenario)
    })
}

/// Runs `thread` on a new thread, because a network namespace belongs to a thread; the threads and processes that it starts
/// inherit it.
fn on_own_thread(test: &str, thread: impl FnOnce() -> anyhow::Result<()> + Send) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(test.to_owned()).spawn_scoped(scope, thread)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn run(scenario: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(scenario())
}

/// Gives false if this machine does not allow a network namespace.
fn enter_own_network() -> io::Result<bool> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => bring_loopback_up().map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Sends the kernel what `ip link set lo up` sends: an rtnetlink message of `nlmsghdr` and `ifinfomsg`.
fn bring_loopback_up() -> io::Result<()> {
    const LENGTH: u32 = 32;
    const LOOPBACK: i32 = 1;
    let up = libc::IFF_UP as u32;
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(libc::RTM_NEWLINK.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    message.extend([0; 8]); // sequence number and port: there is only this one message
    message.extend([0; 4]); // address family and device type: any
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(up.to_ne_bytes()); // the flags
    message.extend(up.to_ne_bytes()); // which of them to change

    let mut kernel =
        Socket::new(libc::AF_NETLINK.into(), Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
    kernel.send(&message)?;
    // The answer is a header of 16 bytes, then 0 or a negated errno.
    let mut answer = [0; 128];
    let length = kernel.read(&mut answer)?;
    match answer[..length].get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
