//! Anything that PHP and GatewayWorker's programs may send: nothing panics, and what is understood means the same after it is
//! written and read again.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::worker_frames::worker_frames;
use gateway_tests::{Rng, fuzz, packets, requests};
use gateway_wire::ClientId;
use gateway_wire::bridge::{self, Login, Producer, Reply, Request, ServerToWorker, WorkerToServer, frame};
use gateway_wire::gatewayworker::{
    Command, EventPacket, MAX_LINE, MAX_PACKET, Packet, RegisterLine, line_length, packet_length, reply,
};
use gateway_wire::php_serialize::{Key, PhpValue, Writer, check_array, replace_recursive};
use gateway_wire::token::{Claims, TokenKey};

const NODE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1238);

fn client() -> ClientId {
    ClientId::new(NODE, 0xdead_beef)
}

/// Takes the header off each frame.
fn contents(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.into_iter().map(|frame| frame[frame::HEADER..].to_vec()).collect()
}

#[test]
fn bridge_frames() -> anyhow::Result<()> {
    fuzz("bridge frames", &requests(client())?, |input, rng| {
        let limit = rng.below(200);
        let Ok(whole) = frame::whole_length(input, limit) else {
            frame::content_length(input, limit).unwrap_err();
            return;
        };
        let contents: Vec<_> = frame::contents(&input[..whole]).collect();
        assert_eq!(contents.iter().map(|content| frame::HEADER + content.len()).sum::<usize>(), whole);
        assert!(contents.iter().all(|content| content.len() <= limit));
        // The frames that are found do not depend on what follows them.
        for end in (0..=whole).step_by(1 + rng.below(9)) {
            assert!(frame::whole_length(&input[..end], limit).is_ok_and(|length| length <= end));
        }
    });
    Ok(())
}

#[test]
fn bridge_calls() -> anyhow::Result<()> {
    fuzz("bridge calls", &contents(requests(client())?), |input, _| {
        let mut bytes = Vec::new();
        let Ok(request) = Request::decode(input) else { return };
        request.encode(&mut bytes).unwrap();
        assert_eq!(Request::decode(&bytes[frame::HEADER..]).unwrap(), request);
    });
    Ok(())
}

#[test]
fn bridge_replies_and_logins() {
    let values = vec![
        (
            bridge::AnswerValue::Str(b"a".to_vec()),
            bridge::AnswerValue::List(vec![bridge::AnswerValue::Int(-7)]),
        ),
        (bridge::AnswerValue::Int(1), bridge::AnswerValue::Null),
    ];
    let replies = [
        Reply::Hello { nonce: [7; 32], instance: 5 },
        Reply::Welcome { applied: 9, proof: [8; 32] },
        Reply::Ack { seq: 300 },
        Reply::Answer { seq: 1, value: bridge::AnswerValue::Map(values) },
        Reply::Error { seq: 2, message: "wrong".to_owned() },
    ];
    let mut corpus = Vec::new();
    for reply in replies {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes).unwrap();
        corpus.push(bytes);
    }
    let mut login = Vec::new();
    Login::new(Login::PHP, Producer([9; 16]), b"secret", &[7; 32], [6; 32]).encode(&mut login).unwrap();
    corpus.push(login);
    fuzz("bridge replies and logins", &contents(corpus), |input, _| {
        if let Ok(reply) = Reply::decode(input) {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes).unwrap();
            assert_eq!(Reply::decode(&bytes[frame::HEADER..]).unwrap(), reply);
        }
        if let Ok(login) = Login::decode(input) {
            let mut bytes = Vec::new();
            // A login that was read may hold a role that is too long to be sent.
            if login.encode(&mut bytes).is_ok() {
                assert_eq!(Login::decode(&bytes[frame::HEADER..]).unwrap(), login);
            }
        }
    });
}

/// The first bytes that PHP sends, from the preface on.
#[test]
fn bridge_openings() -> anyhow::Result<()> {
    const NONCE: [u8; 32] = [7; 32];
    let mut good = Vec::new();
    for (role, secret) in [(Login::PHP, &b"secret"[..]), (Login::WORKER, b"secret"), (Login::PHP, b"wrong")] {
        let mut opening = bridge::PREFACE.to_vec();
        Login::new(role, Producer([9; 16]), secret, &NONCE, [6; 32]).encode(&mut opening)?;
        good.push(opening);
    }
    let open = |input: &[u8]| {
        let (preface, rest) = input.split_first_chunk::<4>()?;
        bridge::check_preface(*preface).ok()?;
        let length = frame::content_length(rest, frame::MAX_LOGIN).ok()??;
        assert!(length <= frame::MAX_LOGIN);
        Login::decode(&rest[frame::HEADER..][..length]).ok()
    };
    let proven: Vec<_> = good[..2].iter().filter_map(|opening| open(opening)).collect();
    assert_eq!(proven.len(), 2);
    fuzz("bridge openings", &good, |input, _| {
        let Some(login) = open(input) else { return };
        // Only a peer that knows the secret can make a proof.
        assert_eq!(login.knows(b"secret", &NONCE), proven.contains(&login));
    });
    Ok(())
}

#[test]
fn bridge_workers() -> anyhow::Result<()> {
    let event = bridge::WorkerEvent {
        number: u64::MAX,
        kind: bridge::EventKind::Message,
        client: client(),
        remote_address: "2001:db8::1",
        remote_port: 50_000,
        gateway_port: 8282,
        session: b"a:0:{}",
        body: b"\xff any bytes",
    };
    let mut corpus = Vec::new();
    for told in [
        ServerToWorker::Event(event),
        ServerToWorker::ProgressFile { is_read: true },
        ServerToWorker::Pong,
        ServerToWorker::End,
    ] {
        let mut bytes = Vec::new();
        told.encode(&mut bytes)?;
        corpus.push(bytes);
    }
    corpus.extend(worker_frames(8, 7)?);
    fuzz("bridge workers", &contents(corpus), |input, _| {
        if let Ok(told) = ServerToWorker::decode(input) {
            let mut bytes = Vec::new();
            told.encode(&mut bytes).unwrap();
            assert_eq!(ServerToWorker::decode(&bytes[frame::HEADER..]).unwrap(), told);
        }
        if let Ok(said) = WorkerToServer::decode(input) {
            let mut bytes = Vec::new();
            // A message that was read may hold a name that is too long to be sent.
            if said.encode(&mut bytes).is_ok() {
                assert_eq!(WorkerToServer::decode(&bytes[frame::HEADER..]).unwrap(), said);
            }
        }
    });
    Ok(())
}

#[test]
fn gatewayworker_packets() -> anyhow::Result<()> {
    fuzz("GatewayWorker packets", &packets(7)?, |input, rng| {
        let length = match packet_length(input, MAX_PACKET) {
            Ok(Some(length)) => length,
            Ok(None) => return,
            Err(_) => return,
        };
        // The packet's length is the same however much of the packet has come.
        let end = rng.below(length);
        assert!(matches!(packet_length(&input[..end], MAX_PACKET), Ok(None)));
        let Ok(packet) = Packet::decode(&input[..length]) else { return };
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).unwrap();
        assert_eq!(bytes, &input[..length]);

        if let Ok(command) = Command::from_packet(&packet) {
            let mut bytes = Vec::new();
            command.encode(&mut bytes).unwrap();
            let again = Packet::decode(&bytes).unwrap();
            assert_eq!(Command::from_packet(&again).unwrap(), command);
        }
        if let Ok(event) = EventPacket::from_packet(&packet) {
            let mut bytes = Vec::new();
            event.encode(&mut bytes).unwrap();
            let again = Packet::decode(&bytes).unwrap();
            assert_eq!(EventPacket::from_packet(&again).unwrap(), event);
        }
    });
    Ok(())
}

#[test]
fn register_lines() {
    let corpus: Vec<_> = [
        &br#"{"event":"worker_connect","secret_key":"s"}"#[..],
        br#"{"event":"gateway_connect","address":"10.0.0.1:2900","secret_key":""}"#,
        br#"{"event":"ping"}"#,
        br#"{"event":"broadcast_addresses","addresses":["127.0.0.1:2900","127.0.0.1:2901"]}"#,
        br#"{"event":"broadcast_addresses","addresses":{"0":"a:1","2":"b:2"}}"#,
    ]
    .map(|line| [line, b"\n"].concat())
    .into();
    fuzz("register lines", &corpus, |input, rng| {
        let limit = 1 + rng.below(MAX_LINE);
        if let Ok(Some(length)) = line_length(input, limit) {
            assert!(length <= limit && input[length - 1] == b'\n');
            assert!(matches!(line_length(&input[..rng.below(length)], limit), Ok(None)));
        }
        let Ok(line) = RegisterLine::decode(input) else { return };
        let mut bytes = Vec::new();
        line.encode(&mut bytes);
        assert_eq!(RegisterLine::decode(&bytes).unwrap(), line);
    });
}

fn serialized() -> Vec<Vec<u8>> {
    [
        r#"a:0:{}"#,
        r#"a:3:{i:0;i:1;i:1;i:2;i:2;i:3;}"#,
        r#"a:4:{i:-1;b:0;s:1:"a";a:1:{i:0;N;}s:1:"o";O:3:"Foo":1:{s:1:"p";d:1.5E+25;}s:1:"e";E:7:"Suit:Ok";}"#,
        r#"a:3:{s:1:"m";a:2:{s:1:"x";i:1;s:1:"y";i:2;}s:1:"s";i:5;s:1:"t";a:1:{i:0;i:1;}}"#,
        r#"a:3:{s:1:"n";i:0;s:1:"o";O:8:"stdClass":0:{}s:1:"p";r:3;}"#,
        r#"a:1:{s:1:"x";a:2:{s:1:"x";R:2;s:1:"y";R:2;}}"#,
        r#"a:2:{i:0;i:1;i:1;R:2;}"#,
        r#"a:1:{s:1:"c";C:3:"Foo":2:{ab}}"#,
        r#"s:4:"a";b";"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

#[test]
fn php_values() {
    fuzz("PHP values", &serialized(), |input, _| {
        let _ = check_array(input);
        let Ok(value) = PhpValue::parse(input) else { return };
        let mut bytes = Vec::new();
        write(&value, &mut Writer::new(&mut bytes));
        assert_eq!(PhpValue::parse(&bytes).unwrap(), value);
    });
    // A reply's length is accepted only within its limit.
    fuzz("GatewayWorker replies", &[b"\0\0\0\x05i:42;".to_vec()], |input, rng| {
        let limit = rng.below(100);
        if let Ok(Some(length)) = reply::content_length(input, limit) {
            assert!(length <= limit && reply::HEADER + length <= input.len());
        }
    });
}

fn write(value: &PhpValue, writer: &mut Writer) {
    match value {
        PhpValue::Null => writer.null(),
        PhpValue::Bool(value) => writer.serialized(if *value { b"b:1;" } else { b"b:0;" }),
        PhpValue::Int(number) => writer.int(*number),
        PhpValue::Float(float) => writer.serialized(&[b"d:", *float, b";"].concat()),
        PhpValue::Str(text) => writer.string(text),
        PhpValue::Array(entries) => writer.array(entries.iter(), |writer, (key, value)| {
            match key {
                Key::Int(number) => writer.int(*number),
                Key::Str(text) => writer.string(text),
            }
            write(value, writer);
        }),
    }
}

#[test]
fn php_sessions() {
    let corpus = serialized();
    fuzz("PHP sessions", &corpus, |input, rng| {
        let other = &corpus[rng.below(corpus.len())];
        let (old, changes) = if rng.below(2) == 0 { (input, &other[..]) } else { (&other[..], input) };
        let Ok(merged) = replace_recursive(old, changes, 1 << 20) else { return };
        check_array(&merged).unwrap_or_else(|error| panic!("{error}: {}", merged.escape_ascii()));
        // After one merge with an empty array the result is in its final form, so another merge changes nothing.
        let nothing = b"a:0:{}";
        let once = replace_recursive(&merged, nothing, 1 << 20).unwrap();
        assert_eq!(
            replace_recursive(&once, nothing, 1 << 20).unwrap().escape_ascii().to_string(),
            once.escape_ascii().to_string()
        );
    });
}

#[test]
fn client_ids() {
    let corpus = [client().to_string().into_bytes(), b"7F0000010B5400000001".to_vec()];
    fuzz("client ids", &corpus, |input, _: &mut Rng| {
        let Ok(id) = ClientId::from_hex(input) else { return };
        assert_eq!(id.to_string(), String::from_utf8_lossy(input).to_lowercase());
        assert_eq!(ClientId::from_bytes(id.to_bytes()), id);
    });
}

#[test]
fn connect_tokens() -> anyhow::Result<()> {
    const NOW: u64 = 1_800_000_000;
    let key = TokenKey::new(b"a key");
    let session = serde_json::from_str(r#"{"name":"Ann","5":[1,2.5,null,true,{"x":{}}]}"#)?;
    let whole = Claims {
        uid: "42".to_owned(),
        expires: NOW + 1,
        not_before: Some(NOW),
        groups: vec!["news".to_owned(), "7".to_owned()],
        session,
        once: Some("x".to_owned()),
        device: Some("phone".to_owned()),
    };
    let small = Claims { uid: "\u{623f}".to_owned(), expires: u64::MAX, ..Claims::default() };
    let good = [key.mint(&whole)?, key.mint(&small)?].map(String::into_bytes);
    fuzz("connect tokens", &good, |input, _| {
        let token = String::from_utf8_lossy(input);
        assert_eq!(key.verify(&token, NOW).is_ok(), good.iter().any(|good| good == input));
    });
    // Even claims that the key has signed may be nonsense.
    let payloads = [
        r#"{"sub":"42","exp":1800000001,"nbf":1800000000,"groups":["a","7"],"session":{"x":[1,{"5":null}]},"jti":"x"}"#,
        r#"{"iss":"app","sub":42,"exp":18446744073709551615}"#,
        r#"{"sub":"1","exp":1.9e9,"session":{"deep":[[[[[[[[-1.5e-7]]]]]]]]}}"#,
    ];
    fuzz("claims", &payloads.map(|payload| payload.as_bytes().to_vec()), |input, _| {
        let Ok(claims) = key.verify(&key.seal(br#"{"alg":"HS256"}"#, input), NOW) else { return };
        let session = claims.serialized_session();
        assert!(session.is_empty() || check_array(&session).is_ok());
        if let Ok(again) = key.mint(&claims) {
            assert_eq!(key.verify(&again, NOW).as_ref(), Ok(&claims));
        }
    });
    Ok(())
}
