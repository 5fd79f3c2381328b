//! A small gateway for the tests: a real listener that speaks the bridge, remembers what took effect, and misbehaves on
//! demand.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gateway_link::{Address, Target};
use gateway_wire::bridge::frame::{self, MAX_CALL};
use gateway_wire::bridge::{
    AnswerValue, Call, Login, Order, PREFACE, Producer, Proof, Query, Reply, Request, ServerToWorker,
    WorkerToServer,
};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    /// The messages of the orders that took effect, each with its producer, in order.
    pub(crate) taken: Vec<(Producer, String)>,
    /// The number of orders that came again though they had taken effect.
    pub(crate) repeated: usize,
    pub(crate) logins: usize,
    /// The number of connections that began with a register's line.
    pub(crate) asked_as_register: usize,
    /// The number of pings that workers sent.
    pub(crate) pings: usize,
    pub(crate) connections: usize,
    pub(crate) disconnections: usize,
    /// The most frames that one read brought.
    pub(crate) most_at_once: usize,
    pub(crate) behaviour: Behaviour,
    applied: HashMap<Producer, u64>,
    live: Vec<TcpStream>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) secret: Vec<u8>,
    /// Whether it takes orders but confirms nothing.
    pub(crate) silent: bool,
    /// Cuts the connection without a word once so many more orders took effect.
    pub(crate) cut_after: Option<usize>,
    /// Cuts the connection each time that so many orders took effect.
    pub(crate) cut_every: Option<usize>,
    /// The number of connections that are closed right behind their welcome.
    pub(crate) hangs_up: usize,
    /// Makes what the welcome has in place of the proof, from the login.
    pub(crate) proves: Option<fn(&Login) -> Proof>,
    /// The time that the hello takes.
    pub(crate) late: Duration,
    /// The answer to a register's line.
    pub(crate) register_line: Vec<u8>,
    /// The bytes that are sent in place of the hello.
    pub(crate) greeting: Option<Vec<u8>>,
    /// The bytes that are sent in place of an answer.
    pub(crate) answer: Option<Vec<u8>>,
    /// Whether queries stay unanswered.
    pub(crate) mute: bool,
    /// Whether the pings of workers are answered.
    pub(crate) pongs: bool,
    /// The message with which orders are refused.
    pub(crate) refuses: Option<String>,
    /// The message with which it says that it cannot read an order, before it cuts the connection.
    pub(crate) chokes_on: Option<String>,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), behaviour)
    }

    pub(crate) fn listen(listener: TcpListener, behaviour: Behaviour) -> Self {
        let port = listener.local_addr().unwrap().port();
        let state = State { behaviour, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, shared) = (socket.unwrap(), accepting.clone());
                socket.set_nodelay(true).unwrap();
                std::thread::spawn(move || {
                    shared.change(|state| {
                        state.connections += 1;
                        state.live.push(socket.try_clone().unwrap());
                    });
                    // The thread ends when the peer or the script ends the connection.
                    let _ = shared.serve(&socket);
                    let _ = socket.shutdown(std::net::Shutdown::Both);
                    shared.change(|state| state.disconnections += 1);
                });
            }
        });
        Self { port, shared }
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(format!("127.0.0.1:{}", self.port).as_bytes()).unwrap()
    }

    pub(crate) fn target(&self) -> Arc<Target> {
        let secret = self.shared.lock().behaviour.secret.clone();
        Arc::new(Target::new(vec![self.address()], secret).unwrap())
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.shared.change(|state| change(&mut state.behaviour));
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.shared.change(|state| {
            for socket in state.live.drain(..) {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        });
    }

    /// Waits until the state is as wanted, and gives a part of it.
    pub(crate) fn wait<T>(&self, what: &str, mut check: impl FnMut(&mut State) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = check(&mut state) {
                return found;
            }
            let left = deadline.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("no {what}"));
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until so many orders took effect, and gives their messages in order.
    pub(crate) fn messages(&self, count: usize) -> Vec<String> {
        self.wait(&format!("{count} messages"), |state| {
            (state.taken.len() >= count)
                .then(|| state.taken.iter().map(|(_, message)| message.clone()).collect())
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    fn behaviour(&self) -> Behaviour {
        self.lock().behaviour.clone()
    }

    fn serve(&self, mut socket: &TcpStream) -> std::io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        socket.read_exact(&mut preface)?;
        if preface != PREFACE {
            // This is a register's line, sent because this server was late.
            let line = self.change(|state| {
                state.asked_as_register += 1;
                state.behaviour.register_line.clone()
            });
            socket.write_all(&line)?;
            return socket.read_to_end(&mut Vec::new()).map(drop);
        }
        std::thread::sleep(self.behaviour().late);
        if let Some(greeting) = self.behaviour().greeting {
            socket.write_all(&greeting)?;
            socket.read_exact(&mut [0])?;
            return Ok(());
        }
        send(socket, &Reply::Hello { nonce: [5; 32], instance: 1 })?;
        let mut reader = Reader { socket, buffer: Vec::new() };
        let login = Login::decode(&reader.frames()?[0]).unwrap();
        let producer = login.producer;
        let behaviour = self.behaviour();
        if behaviour.proves.is_none() && !login.knows(&behaviour.secret, &[5; 32]) {
            return send(socket, &Reply::Error { seq: 0, message: "wrong secret".to_owned() });
        }
        let applied = self.change(|state| {
            state.logins += 1;
            state.applied.get(&producer).copied().unwrap_or(0)
        });
        let behaviour = self.behaviour();
        let proof = match behaviour.proves {
            Some(proves) => proves(&login),
            None => login.gateway_proof(&behaviour.secret, &[5; 32]),
        };
        send(socket, &Reply::Welcome { applied, proof })?;
        let hangs_up = self.change(|state| {
            let left = state.behaviour.hangs_up.checked_sub(1);
            state.behaviour.hangs_up = left.unwrap_or(0);
            left.is_some()
        });
        if hangs_up {
            return Ok(());
        }
        if login.role == Login::WORKER {
            return self.ping_pong(&mut reader);
        }
        loop {
            let frames = reader.frames()?;
            self.change(|state| state.most_at_once = state.most_at_once.max(frames.len()));
            let mut confirmed = 0;
            for frame in frames {
                let request = Request::decode(&frame).unwrap();
                match &request.call {
                    Call::Order(order) => {
                        if !self.order(socket, producer, request.seq, order)? {
                            return Ok(());
                        }
                        confirmed = request.seq;
                    }
                    Call::Query(query) => self.query(socket, request.seq, query)?,
                }
            }
            if confirmed > 0 && !self.behaviour().silent {
                send(socket, &Reply::Ack { seq: confirmed })?;
            }
        }
    }

    /// Serves a worker for which there are no events.
    fn ping_pong(&self, reader: &mut Reader) -> std::io::Result<()> {
        loop {
            for frame in reader.frames()? {
                if WorkerToServer::decode(&frame).unwrap() != WorkerToServer::Ping {
                    continue;
                }
                self.change(|state| state.pings += 1);
                if self.behaviour().pongs {
                    let mut bytes = Vec::new();
                    ServerToWorker::Pong.encode(&mut bytes).unwrap();
                    let mut socket = reader.socket;
                    socket.write_all(&bytes)?;
                }
            }
        }
    }

    /// Handles an order, and gives whether the connection goes on.
    fn order(
        &self,
        socket: &TcpStream,
        producer: Producer,
        seq: u64,
        order: &Order,
    ) -> std::io::Result<bool> {
        let Order::SendToAll { message, .. } = order else { panic!("tests send to all") };
        let message = String::from_utf8_lossy(message).into_owned();
        let behaviour = self.behaviour();
        if behaviour.chokes_on.as_ref() == Some(&message) {
            send(socket, &Reply::Error { seq: 0, message: format!("a bad call: {message}") })?;
            return Ok(false);
        }
        let refused = behaviour.refuses.as_ref() == Some(&message);
        let goes_on = self.change(|state| {
            let applied = state.applied.entry(producer).or_insert(0);
            if seq <= *applied {
                state.repeated += 1;
                return true;
            }
            *applied = seq;
            if refused {
                return true;
            }
            state.taken.push((producer, message));
            if state.behaviour.cut_every.is_some_and(|every| state.taken.len().is_multiple_of(every)) {
                return false;
            }
            match &mut state.behaviour.cut_after {
                None => true,
                Some(1) => {
                    state.behaviour.cut_after = None;
                    false
                }
                Some(left) => {
                    *left -= 1;
                    true
                }
            }
        });
        if refused {
            send(socket, &Reply::Error { seq, message: "not this one".to_owned() })?;
        }
        Ok(goes_on)
    }

    fn query(&self, mut socket: &TcpStream, seq: u64, query: &Query) -> std::io::Result<()> {
        let behaviour = self.behaviour();
        if behaviour.mute {
            return Ok(());
        }
        if let Some(answer) = behaviour.answer {
            return socket.write_all(&answer);
        }
        let value = match query {
            Query::ClientCount {} => AnswerValue::Int(self.lock().taken.len().try_into().unwrap()),
            Query::IsUidOnline { uid } if uid.as_ref() == b"refuse" => {
                return send(socket, &Reply::Error { seq, message: "no such question".to_owned() });
            }
            _ => AnswerValue::Null,
        };
        send(socket, &Reply::Answer { seq, value })
    }
}

fn send(mut socket: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes).unwrap();
    socket.write_all(&bytes)
}

struct Reader<'a> {
    socket: &'a TcpStream,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// Reads at least one frame.
    fn frames(&mut self) -> std::io::Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        loop {
            while let Some(length) = frame::content_length(&self.buffer, MAX_CALL).unwrap() {
                let rest = self.buffer.split_off(frame::HEADER + length);
                frames.push(std::mem::replace(&mut self.buffer, rest).split_off(frame::HEADER));
            }
            if !frames.is_empty() {
                return Ok(frames);
            }
            let mut chunk = vec![0; 1 << 20];
            match self.socket.read(&mut chunk)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }
}
