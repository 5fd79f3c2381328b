//! A small register and small gateways that speak GatewayWorker's protocols, and misbehave when a test asks for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use gateway_link::{Address, GatewayProtocol, Target};
use gateway_wire::gatewayworker::{Command, MAX_PACKET, Packet, RegisterLine, packet_length, reply};

use crate::server::PATIENCE;

/// A value that threads change and that tests wait for.
struct CloseOnFork<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T: Default> CloseOnFork<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(T::default()), changed: Condvar::new() })
    }

    fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
        result
    }

    fn wait<R>(&self, what: &str, mut check: impl FnMut(&mut T) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(found) = check(&mut state) {
                return found;
            }
            let left = deadline.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("no {what}"));
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl CloseOnFork<GatewayState> {
    fn wait_while_still(&self) {
        let mut state = self.state.lock().unwrap();
        while state.still {
            state = self.changed.wait(state).unwrap();
        }
    }
}

pub(crate) struct FakeRegister {
    port: u16,
    state: Arc<CloseOnFork<RegisterState>>,
}

#[derive(Default)]
struct RegisterState {
    secret: String,
    /// The line that the register sends to a peer that knows the secret.
    line: Vec<u8>,
    listeners: Vec<TcpStream>,
    asked: usize,
}

impl FakeRegister {
    pub(crate) fn start(secret: &str, gateways: &[&FakeGateway]) -> Self {
        Self::saying(secret, line(gateways))
    }

    pub(crate) fn saying(secret: &str, line: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = CloseOnFork::<RegisterState>::new();
        state.change(|state| (state.secret, state.line) = (secret.to_owned(), line));
        let accepting = state.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, state) = (socket.unwrap(), accepting.clone());
                // The thread ends when the peer closes. Like PHP's register, it waits in silence for the end of a line.
                std::thread::spawn(move || {
                    let mut asked = Vec::new();
                    let read = BufReader::new(&socket).read_until(b'\n', &mut asked);
                    if matches!(read, Ok(1..)) && asked.ends_with(b"\n") {
                        state.change(|state| state.answer(&socket, &asked));
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn tell(&self, gateways: &[&FakeGateway]) {
        self.state.change(|state| {
            state.line = line(gateways);
            for mut listener in &state.listeners {
                let _ = listener.write_all(&state.line);
            }
        });
    }

    /// Gives how often the register was asked in its own protocol.
    pub(crate) fn asked(&self) -> usize {
        self.state.change(|state| state.asked)
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(format!("127.0.0.1:{}", self.port).as_bytes()).unwrap()
    }

    /// The target that leads to this register. With a secret, the link must be told to speak GatewayWorker's protocol,
    /// because it does not tell the secret otherwise.
    pub(crate) fn target(&self, secret: &str) -> Target {
        let target = self.target_by_chance(secret);
        if secret.is_empty() { target } else { target.speaking(GatewayProtocol::GatewayWorker) }
    }

    pub(crate) fn target_by_chance(&self, secret: &str) -> Target {
        Target::new(vec![self.address()], secret.as_bytes().to_vec()).unwrap()
    }
}

impl RegisterState {
    fn answer(&mut self, mut socket: &TcpStream, asked: &[u8]) {
        let Ok(line) = RegisterLine::decode(asked) else {
            let _ = socket.write_all(
                b"Bad request for Register service. Request info(IP:127.0.0.1, Request Buffer:).\n",
            );
            let _ = socket.shutdown(std::net::Shutdown::Both);
            return;
        };
        self.asked += 1;
        let greeting = RegisterLine::WorkerConnect { secret_key: self.secret.clone() };
        if line == greeting && socket.write_all(&self.line).is_ok() {
            self.listeners.push(socket.try_clone().unwrap());
        } else {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

pub(crate) fn line(gateways: &[&FakeGateway]) -> Vec<u8> {
    let addresses = gateways.iter().map(|gateway| gateway.address.to_string()).collect();
    let mut line = Vec::new();
    RegisterLine::BroadcastAddresses { addresses, bridge: false }.encode(&mut line);
    line
}

pub(crate) struct FakeGateway {
    pub(crate) address: SocketAddrV4,
    state: Arc<CloseOnFork<GatewayState>>,
}

#[derive(Default)]
struct GatewayState {
    /// The messages to all clients, in the order in which they came.
    taken: Vec<String>,
    secrets: Vec<String>,
    connections: usize,
    live: Vec<TcpStream>,
    /// True if the gateway leaves every query after the first one on a connection unanswered.
    mute: bool,
    /// True if the gateway has stopped reading.
    still: bool,
    /// The bytes that are sent in place of the answer to a query.
    answer: Option<Vec<u8>>,
    gone: bool,
}

impl FakeGateway {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let state = CloseOnFork::<GatewayState>::new();
        let accepting = state.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, state) = (socket.unwrap(), accepting.clone());
                if state.change(|state| state.gone) {
                    return;
                }
                state.change(|state| {
                    state.connections += 1;
                    state.live.push(socket.try_clone().unwrap());
                });
                // The thread ends when the peer or the test closes the connection.
                std::thread::spawn(move || serve(&state, &socket));
            }
        });
        Self { address, state }
    }

    pub(crate) fn messages(&self, count: usize) -> Vec<String> {
        self.state.wait(&format!("{count} messages"), |state| {
            (state.taken.len() >= count).then(|| state.taken.clone())
        })
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        self.state.change(|state| state.secrets.clone())
    }

    pub(crate) fn connected(&self, times: usize) {
        self.state.wait("connection", |state| (state.connections >= times).then_some(()));
    }

    pub(crate) fn be_mute(&self, mute: bool) {
        self.state.change(|state| state.mute = mute);
    }

    pub(crate) fn be_still(&self) {
        self.state.change(|state| state.still = true);
    }

    pub(crate) fn answer(&self, answer: Option<Vec<u8>>) {
        self.state.change(|state| state.answer = answer);
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.state.change(|state| {
            for socket in state.live.drain(..) {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        });
    }

    /// Cuts every connection, and accepts no more.
    pub(crate) fn leave(&self) {
        self.state.change(|state| state.gone = true);
        // The thread that accepts connections notices it with the next one.
        let _ = TcpStream::connect_timeout(&self.address.into(), Duration::from_secs(1));
        while TcpStream::connect_timeout(&self.address.into(), Duration::from_secs(1)).is_ok() {
            std::thread::yield_now();
        }
        self.cut();
    }
}

fn serve(state: &CloseOnFork<GatewayState>, mut socket: &TcpStream) -> Option<()> {
    let mut input = Vec::new();
    let mut greeted = false;
    loop {
        let length = loop {
            if let Some(length) = packet_length(&input, MAX_PACKET).unwrap() {
                break length;
            }
            let mut chunk = [0; 4096];
            state.wait_while_still();
            match socket.read(&mut chunk).ok()? {
                0 => return None,
                read => input.extend_from_slice(&chunk[..read]),
            }
        };
        let rest = input.split_off(length);
        let packet = std::mem::replace(&mut input, rest);
        let command = Command::from_packet(&Packet::decode(&packet).unwrap()).unwrap();
        let answer = state.change(|state| {
            match &command {
                Command::ClientConnect { secret_key } => state.secrets.push(secret_key.clone()),
                Command::SendToAll { message, .. } => {
                    state.taken.push(String::from_utf8_lossy(message).into_owned());
                }
                _ => {}
            }
            let is_ours = matches!(command, Command::IsOnline { connection: 0 });
            if !command.is_query() || greeted && state.mute {
                return Vec::new();
            }
            let mut answer = Vec::new();
            reply::append(&mut answer, |writer| writer.int(i64::from(!is_ours))).unwrap();
            if is_ours { answer } else { state.answer.clone().unwrap_or(answer) }
        });
        greeted = true;
        socket.write_all(&answer).ok()?;
    }
}
