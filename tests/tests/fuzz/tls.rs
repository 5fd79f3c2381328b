//! Anything that clients may send over TLS: nothing panics, an error stays, and what arrives is what was sent.

use std::io::IoSlice;
use std::sync::Arc;

use gateway_server::net::tls::TlsSession;
use gateway_tests::{RecordForger, Rng, TestCertificate, fuzz};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ServerConfig};

/// The types of records.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

fn client(config: &Arc<ClientConfig>) -> anyhow::Result<ClientConnection> {
    Ok(ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?)
}

/// Has a session receive a piece. Gives what was decrypted, or `None` once it has failed.
fn hear(session: &mut TlsSession, mut piece: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut heard = Vec::new();
    while !piece.is_empty() && !session.has_ended() {
        let mut part = vec![0; rng.below(100)];
        let Ok(length) = session.receive(&mut piece, &mut part) else {
            assert!(session.receive(&mut &b"more"[..], &mut []).is_err());
            assert!(session.write(&[IoSlice::new(b"more")]).is_err());
            return None;
        };
        heard.extend_from_slice(&part[..length]);
        heard.extend_from_slice(session.decrypted());
        session.consume(session.decrypted().len());
    }
    Some(heard)
}

fn sent(session: &mut TlsSession) -> Vec<u8> {
    let mut sealed = Vec::new();
    while session.wants_write() {
        // What goes into memory is never refused.
        assert!(session.send(&mut sealed).is_ok_and(|length| length > 0));
    }
    sealed
}

#[test]
fn tls_handshakes() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = certificate.server(RecordForger::provider())?;
    let mut hellos = Vec::new();
    for version in [&TLS12, &TLS13] {
        let mut hello = Vec::new();
        client(&Arc::new(certificate.client(&[version])?))?.write_tls(&mut hello)?;
        hellos.push(hello);
    }
    fuzz("TLS handshakes", &hellos, |input, rng| {
        let mut session = TlsSession::new(Arc::clone(&server)).unwrap();
        for piece in rng.pieces(input) {
            // No handshake is over without the client's own part of the keys.
            assert!(hear(&mut session, piece, rng).is_none_or(|heard| heard.is_empty()));
            assert!(session.is_handshaking());
            session.close();
            sent(&mut session);
        }
    });
    Ok(())
}

/// Both ends of a session behind its handshake.
fn shake_hands(
    server: &Arc<ServerConfig>,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<(TlsSession, RecordForger)> {
    let mut client = client(config)?;
    let mut session = TlsSession::new(Arc::clone(server))?;
    while session.is_handshaking() || client.is_handshaking() {
        let mut sealed = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sealed)?;
        }
        session.receive(&mut &sealed[..], &mut [])?;
        let answer = sent(&mut session);
        let mut rest = &answer[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest)?;
            client.process_new_packets()?;
        }
    }
    Ok((session, RecordForger::new(client.dangerous_extract_secrets()?)?))
}

/// Makes records of an input: of each three bytes, which are type, length and padding, and as many as the second says.
fn records(forger: &mut RecordForger, mut input: &[u8], data: &mut Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut records = Vec::new();
    while let [kind, length, padding, rest @ ..] = input {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        let kind = match kind % 8 {
            0..=2 => Some(DATA),
            3 => Some(HANDSHAKE),
            4 => Some(ALERT),
            5 => Some(CHANGE_CIPHER_SPEC),
            6 => Some(*padding),
            _ => None,
        };
        match kind {
            Some(kind) => records.extend(forger.record(kind, content, usize::from(*padding) * 4)?),
            None => records.extend_from_slice(content),
        }
        if kind == Some(DATA) {
            data.extend_from_slice(content);
        }
        input = rest;
    }
    Ok(records)
}

#[test]
fn tls_records() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = certificate.server(RecordForger::provider())?;
    let mut config = certificate.client(&[&TLS13])?;
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    let corpus = [
        &b"\0\x05\0hello\x01\0\0\x02\x03\xffabc"[..],
        b"\0\x01\0a\x03\x01\0\x18\x03\x01\0\0\x03\x03\0\0\x01\x01\0\x01\0b",
        b"\0\x01\0a\x04\x02\0\x01\0\0\x01\0b",
        b"\x03\x02\0\x18\0\x03\x03\x01\0\x01\0",
        b"\0\x01\0a\x04\x02\0\x01\x5a\x05\x01\0\x01",
        b"\x07\x05\0\x17\x03\x03\0\x40\0\x05\0after",
    ]
    .map(<[u8]>::to_vec);
    fuzz("TLS records", &corpus, |input, rng| {
        let (mut session, mut forger) = shake_hands(&server, &config).unwrap();
        let mut data = Vec::new();
        let records = records(&mut forger, input, &mut data).unwrap();
        let (mut heard, mut said) = (Vec::new(), Vec::new());
        let mut has_failed = false;
        for piece in rng.pieces(&records) {
            match hear(&mut session, piece, rng) {
                Some(now) => heard.extend(now),
                None => has_failed = true,
            }
            if !has_failed {
                // A part of a record or message does not keep the session from sending.
                session.write(&[IoSlice::new(b"mean"), IoSlice::new(b"while")]).unwrap();
            }
            said.extend(sent(&mut session));
        }
        assert!(data.starts_with(&heard), "{} is not of {}", heard.escape_ascii(), data.escape_ascii());
        session.close();
        said.extend(sent(&mut session));
        // The server's keys change once the client's have, and the forger does not follow.
        let mut answers = Vec::new();
        while let [_, _, _, high, low, ..] = said[..] {
            let length = 5 + usize::from(u16::from_be_bytes([high, low]));
            let rest = said.split_off(length);
            let Some((kind, content)) = forger.open(&said).unwrap().pop() else { break };
            said = rest;
            match kind {
                DATA => assert_eq!(content, b"meanwhile"),
                HANDSHAKE => return assert_eq!(content, [24, 0, 0, 1, 0]),
                ALERT => answers.push(content),
                kind => panic!("a record of type {kind}"),
            }
        }
        // There is one alert at the end, which is of the error if there was one.
        assert!(said.is_empty() && answers.len() <= 1, "{answers:?}");
        assert_eq!(answers.first().is_some_and(|alert| alert == &[1, 0]), !has_failed);
    });
    Ok(())
}
