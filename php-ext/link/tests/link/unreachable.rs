//! Gateways that are not there or refuse the login.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_link::{Address, GatewayProtocol, Link, LinkError, Target};
use gateway_wire::bridge::{Login, Proof, Query};

use crate::server::{Behaviour, PATIENCE, Server};
use crate::{TIMEOUT, flushed, link, order, send};

fn error(link: &mut Link, timeout: Duration) -> String {
    match link.order(order("x"), timeout) {
        Err(error @ LinkError::Unreachable(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn target(addresses: &[Address]) -> Arc<Target> {
    Arc::new(Target::new(addresses.to_vec(), vec![]).unwrap())
}

/// The address of a port on which nobody listens.
fn nobody() -> Address {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Address::parse(format!("127.0.0.1:{port}").as_bytes()).unwrap()
}

/// A port that accepts connections and never says anything.
fn black_hole() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Address::parse(format!("127.0.0.1:{port}").as_bytes()).unwrap())
}

#[test]
fn a_refused_connection_is_told_of_at_once_and_then_without_waiting() {
    let address = nobody();
    let mut link = link(target(std::slice::from_ref(&address)));
    let begun = Instant::now();
    let first = error(&mut link, TIMEOUT);
    assert!(first.starts_with(&format!("Can not connect to {address} Connection refused")), "{first}");
    for _ in 0..100 {
        assert_eq!(error(&mut link, TIMEOUT), first);
    }
    assert!(begun.elapsed() < TIMEOUT / 2, "{:?}", begun.elapsed());
    let left = link.query(Query::ClientCount {}, TIMEOUT).unwrap_err();
    assert_eq!(left.to_string(), first);
    assert_eq!(link.flush(Duration::ZERO), None, "nothing was accepted");
}

#[test]
fn a_gateway_that_says_nothing_costs_one_wait() {
    let (_listener, address) = black_hole();
    let mut link = link(target(std::slice::from_ref(&address)));
    let timeout = Duration::from_millis(500);
    let begun = Instant::now();
    let first = error(&mut link, timeout);
    let waited = begun.elapsed();
    assert!(
        first.starts_with(&format!("Can not connect to {address} no gateway answered within")),
        "{first}"
    );
    assert!((400..1500).contains(&waited.as_millis()), "{waited:?}");
    let begun = Instant::now();
    for _ in 0..100 {
        error(&mut link, timeout);
    }
    assert!(begun.elapsed() < timeout / 2, "{:?}", begun.elapsed());
}

#[test]
fn the_link_comes_up_once_the_gateway_is_there() {
    let address = nobody();
    let mut link = link(target(std::slice::from_ref(&address)));
    error(&mut link, TIMEOUT);
    let port = address.to_string().rsplit(':').next().unwrap().to_owned();
    let server =
        Server::listen(TcpListener::bind(format!("127.0.0.1:{port}")).unwrap(), Behaviour::default());
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = link.order(order("at last"), TIMEOUT) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(1), ["at last"]);
}

#[test]
fn all_addresses_get_their_turn_within_the_bound() {
    let (_one, first) = black_hole();
    let (_two, second) = black_hole();
    let server = Server::start(Behaviour::default());
    let begun = Instant::now();
    let mut link = link(target(&[first, nobody(), second, server.address()]));
    send(&mut link, "through");
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(server.messages(1), ["through"]);
}

#[test]
fn every_address_is_told_of() {
    let (first, second) = (nobody(), nobody());
    let mut link = link(target(&[first.clone(), second.clone()]));
    let error = error(&mut link, TIMEOUT);
    assert!(
        error.starts_with(&format!("Can not connect to {first} Connection refused; {second} Connection"))
    );
}

#[test]
fn a_wrong_secret_is_told_of_with_the_gateways_words() {
    let server = Server::start(Behaviour { secret: b"right".to_vec(), ..Behaviour::default() });
    let target = Arc::new(Target::new(vec![server.address()], b"wrong".to_vec()).unwrap());
    let mut link = link(target);
    let error = error(&mut link, TIMEOUT);
    assert!(error.contains(&server.address().to_string()), "{error}");
    assert!(error.contains("refused the login: wrong secret"), "{error}");
    assert!(error.contains("gateway.secret_key"), "{error}");
}

/// Without this proof, a stranger who listens on the port of a gateway that is down, or stands between, could accept every
/// login and take all orders.
#[test]
fn a_gateway_that_does_not_prove_itself_is_told_nothing() {
    let proofs: [fn(&Login) -> Proof; 3] = [
        |_| [0; 32],
        // This gives back the proof that the login has just told.
        |login| login.proof,
        |login| login.gateway_proof(b"guessed", &[5; 32]),
    ];
    for proves in proofs {
        let server = Server::start(Behaviour { proves: Some(proves), ..Behaviour::default() });
        let target = Target::new(vec![server.address()], b"secret".to_vec()).unwrap();
        let mut link = link(Arc::new(target));
        let error = error(&mut link, TIMEOUT);
        assert!(error.contains("does not prove that it knows the secret"), "{error}");
        let asked = link.query(Query::ClientCount {}, TIMEOUT).unwrap_err().to_string();
        assert!(asked.contains("does not prove that it knows the secret"), "{asked}");
        assert_eq!(server.wait("state", |state| Some(state.taken.len())), 0);
    }
    // Without a secret there is nothing to prove.
    let server = Server::start(Behaviour { proves: Some(|_| [0; 32]), ..Behaviour::default() });
    let mut link = link(server.target());
    send(&mut link, "hello");
    assert_eq!(server.messages(1), ["hello"]);
}

/// Starts a listener that sends `greeting` to every peer, and `answer` after every line.
fn stranger(greeting: &'static [u8], answer: &'static [u8]) -> Address {
    let (listener, address) = black_hole();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            std::thread::spawn(move || {
                // The thread ends when the peer has closed.
                let _ = socket.write_all(greeting);
                let mut byte = [0];
                while matches!(socket.read(&mut byte), Ok(1..)) {
                    if byte == *b"\n" {
                        let _ = socket.write_all(answer);
                    }
                }
            });
        }
    });
    address
}

#[test]
fn what_listens_there_in_a_gateways_place_is_named() {
    for (greeting, answer, name) in [
        (&b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..], &b""[..], "an SSH server answers there"),
        (b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00", b"", "a MySQL server answers there"),
        (b"", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "an HTTP server answers there"),
        (b"", b"-ERR unknown command\r\n", "a Redis server answers there"),
    ] {
        let address = stranger(greeting, answer);
        for (secret, protocol) in [
            (&b""[..], GatewayProtocol::Auto),
            (b"", GatewayProtocol::Bridge),
            (b"secret", GatewayProtocol::Auto),
            (b"secret", GatewayProtocol::GatewayWorker),
        ] {
            let target = Target::new(vec![address.clone()], secret.to_vec()).unwrap().speaking(protocol);
            let mut link = link(Arc::new(target));
            let error = error(&mut link, TIMEOUT);
            assert!(error.contains(&format!("Can not connect to {address} {name}")), "{protocol:?}: {error}");
        }
    }
}

#[test]
fn what_is_no_gateway_is_told_of() {
    for greeting in [vec![0, 0, 0, 1, 0xc0], vec![0xff; 4]] {
        let server = Server::start(Behaviour { greeting: Some(greeting), ..Behaviour::default() });
        let mut link = link(server.target());
        let error = error(&mut link, TIMEOUT);
        assert!(error.contains("no gateway of this version"), "{error}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_told_of() {
    let address = Address::parse(b"no-such-host.invalid:1238").unwrap();
    let mut link = link(target(&[address]));
    let error = error(&mut link, Duration::from_secs(20));
    assert!(error.starts_with("Can not connect to tcp://no-such-host.invalid:1238 "), "{error}");
}

#[test]
fn names_and_unix_sockets_lead_to_gateways_too() {
    let server = Server::start(Behaviour::default());
    let port = server.address().to_string().rsplit(':').next().unwrap().to_owned();
    let mut by_name = link(target(&[Address::parse(format!("localhost:{port}").as_bytes()).unwrap()]));
    send(&mut by_name, "by name");
    assert_eq!(server.messages(1), ["by name"]);

    let path = std::env::temp_dir().join(format!("gateway-link-{}.sock", std::process::id()));
    let missing = Address::parse(format!("unix://{}", path.display()).as_bytes()).unwrap();
    let mut by_path = link(target(std::slice::from_ref(&missing)));
    let told = error(&mut by_path, TIMEOUT);
    assert!(told.starts_with(&format!("Can not connect to {missing} No such file")), "{told}");
    let listener = UnixListener::bind(&path).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // The link tries again by itself. It is enough that the listener is reached; it says nothing.
    loop {
        listener.set_nonblocking(true).unwrap();
        if listener.accept().is_ok() {
            break;
        }
        assert!(Instant::now() < deadline);
        let _ = by_path.order(order("x"), Duration::from_millis(100));
        std::thread::yield_now();
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn closing_does_not_wait_for_an_attempt() {
    let (_listener, address) = black_hole();
    let mut link = link(target(&[address]));
    std::thread::scope(|scope| {
        // The call waits for its whole time; the link's thread may be at its attempt even longer.
        scope.spawn(|| error(&mut link, TIMEOUT)).join().unwrap();
    });
    let begun = Instant::now();
    link.close(Duration::from_millis(100));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
