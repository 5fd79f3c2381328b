//! The TLS sessions of clients, fed with records: of every size, cut anywhere, forged, and against the rules. Both ends are in this process.

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use gateway_server::net::tls::TlsSession;
use gateway_tests::{RecordForger, TestCertificate, suites_of_few_records};
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ServerConfig, SupportedProtocolVersion};

/// The types of records.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// A message of the handshake that announces new keys, and asks for the other side's.
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 1];
/// The most bytes in one record.
const RECORD: usize = 16_384;

/// Both ends of a session behind its handshake.
struct Ends {
    session: TlsSession,
    client: ClientConnection,
}

impl Ends {
    fn new(version: &'static SupportedProtocolVersion) -> anyhow::Result<Self> {
        let certificate = TestCertificate::new()?;
        Self::of(certificate.server(provider::default_provider())?, certificate.client(&[version])?)
    }

    /// Ends whose keys are good for so many records.
    fn with_keys_for(records: u64, version: &'static SupportedProtocolVersion) -> anyhow::Result<Self> {
        let certificate = TestCertificate::new()?;
        let mut few = provider::default_provider();
        few.cipher_suites = suites_of_few_records(records);
        Self::of(certificate.server(few)?, certificate.client(&[version])?)
    }

    fn of(server: Arc<ServerConfig>, client: ClientConfig) -> anyhow::Result<Self> {
        let name = ServerName::try_from("localhost")?;
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        client.set_buffer_limit(None);
        let mut ends = Self { session: TlsSession::new(server)?, client };
        while ends.session.is_handshaking() || ends.client.is_handshaking() || ends.session.wants_write() {
            let sealed = sent_by(&mut ends.client)?;
            ensure!(heard(&mut ends.session, &sealed)?.is_empty());
            ends.take_answer()?;
        }
        Ok(ends)
    }

    /// Gives the client what the session has to send, and gives what it says.
    fn take_answer(&mut self) -> anyhow::Result<Vec<u8>> {
        let sealed = waiting(&mut self.session)?;
        self.tell(&sealed)
    }

    /// Gives the client these records, and gives what they say.
    fn tell(&mut self, mut records: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut said = Vec::new();
        while !records.is_empty() {
            self.client.read_tls(&mut records)?;
            self.client.process_new_packets()?;
            let _ = self.client.reader().read_to_end(&mut said);
        }
        Ok(said)
    }

    /// Gives the client's message, encrypted.
    fn sealed(&mut self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.client.writer().write_all(message)?;
        sent_by(&mut self.client)
    }

    /// Checks that the session still carries messages both ways.
    fn check(&mut self) -> anyhow::Result<()> {
        let sealed = self.sealed(b"question")?;
        ensure!(heard(&mut self.session, &sealed)? == b"question");
        self.session.write(&[IoSlice::new(b"ans"), IoSlice::new(b""), IoSlice::new(b"wer")])?;
        ensure!(self.take_answer()? == b"answer");
        Ok(())
    }
}

fn sent_by(client: &mut ClientConnection) -> anyhow::Result<Vec<u8>> {
    let mut sealed = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut sealed)?;
    }
    Ok(sealed)
}

/// Has a session receive these bytes. Gives what was decrypted.
fn heard(session: &mut TlsSession, mut sealed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decrypted = Vec::new();
    while !sealed.is_empty() && !session.has_ended() {
        // With room for a part of it, as callers have buffers of any size.
        let mut part = [0; 1000];
        let length = session.receive(&mut sealed, &mut part)?;
        decrypted.extend_from_slice(&part[..length]);
        decrypted.extend_from_slice(session.decrypted());
        session.consume(session.decrypted().len());
    }
    Ok(decrypted)
}

/// Takes what a session has to send.
fn waiting(session: &mut TlsSession) -> std::io::Result<Vec<u8>> {
    let mut sealed = Vec::new();
    while session.wants_write() {
        session.send(&mut sealed)?;
    }
    Ok(sealed)
}

fn message(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn records_of_every_size_arrive_however_they_are_cut() -> anyhow::Result<()> {
    for version in [&TLS12, &TLS13] {
        let mut ends = Ends::new(version)?;
        for length in [1, 2, 125, 999, 1000, 1001, RECORD - 1, RECORD, RECORD + 1, 100_000] {
            let message = message(length);
            let sealed = ends.sealed(&message)?;
            ensure!(heard(&mut ends.session, &sealed)? == message, "{length}");
            let mut taken = 0;
            while taken < length {
                taken += ends.session.write(&[IoSlice::new(&message[taken..])])?;
            }
            ensure!(ends.take_answer()? == message, "{length}");
        }
        for cut in 0..150 {
            let mut sealed = ends.sealed(b"one of two records")?;
            sealed.extend(ends.sealed(&message(100))?);
            let expected = [b"one of two records", &message(100)[..]].concat();
            let (first, second) = sealed.split_at(cut.min(sealed.len()));
            let mut both = heard(&mut ends.session, first)?;
            // A part of a record does not keep the session from sending.
            ends.session.write(&[IoSlice::new(b"meanwhile")])?;
            ensure!(ends.take_answer()? == b"meanwhile");
            both.extend(heard(&mut ends.session, second)?);
            ensure!(both == expected, "{version:?}, cut at {cut}");
        }
        let sealed = ends.sealed(&message(2 * RECORD))?;
        let mut all = Vec::new();
        for byte in &sealed {
            all.extend(heard(&mut ends.session, &[*byte])?);
        }
        ensure!(all == message(2 * RECORD), "{version:?}, byte by byte");
        ends.check()?;
    }
    Ok(())
}

#[test]
fn what_the_socket_does_not_take_comes_first() -> anyhow::Result<()> {
    let mut ends = Ends::new(&TLS13)?;
    let mut sealed = Vec::new();
    let messages: Vec<_> = (0..40).map(|number| message(number * 37)).collect();
    for (number, message) in messages.iter().enumerate() {
        if number % 3 == 0 {
            // Each of these is sealed for a send of its own, of which the socket takes a part.
            let mut own = Vec::new();
            ensure!(ends.session.seal(&[IoSlice::new(message)], &mut own)? == message.len());
            let taken = own.len() * (number % 4) / 4;
            sealed.extend_from_slice(&own[..taken]);
            ends.session.keep(&own[taken..]);
        } else {
            ends.session.write(&[IoSlice::new(message)])?;
        }
        sealed.extend(waiting(&mut ends.session)?);
    }
    ensure!(ends.tell(&sealed)? == messages.concat());
    ends.check()
}

#[test]
fn keys_change_whoever_asks() -> anyhow::Result<()> {
    let mut ends = Ends::with_keys_for(5, &TLS13)?;
    for number in 0..100 {
        if number % 7 == 0 {
            ends.client.refresh_traffic_keys()?;
        }
        // The last of these takes more records than the keys are good for.
        let message = message(number * 1000);
        let mut taken = 0;
        while taken < message.len() {
            taken += ends.session.write(&[IoSlice::new(&message[taken..])])?;
        }
        ensure!(ends.take_answer()? == message, "{number}");
        ends.check()?;
    }
    Ok(())
}

#[test]
fn keys_of_an_old_version_that_are_used_up_end_the_session() -> anyhow::Result<()> {
    let mut ends = Ends::with_keys_for(20, &TLS12)?;
    let mut said = Vec::new();
    for number in 0..100 {
        let Err(error) = ends.session.write(&[IoSlice::new(&[number])]) else {
            said.extend(ends.take_answer()?);
            continue;
        };
        ensure!(number > 10 && error.kind() == ErrorKind::InvalidData, "{number}: {error}");
        // All that was said has arrived, and then the end of TLS.
        said.extend(ends.take_answer()?);
        ensure!(said == (0..number).collect::<Vec<_>>());
        ensure!(matches!(ends.client.reader().read(&mut [0]), Ok(0)));
        ensure!(ends.session.write(&[IoSlice::new(b"more")]).is_err());
        return Ok(());
    }
    bail!("a hundred records with keys for twenty");
}

#[test]
fn keys_that_change_without_end_end_the_session() -> anyhow::Result<()> {
    // Without data between them, so many changes of keys only keep the server busy.
    let mut ends = Ends::new(&TLS13)?;
    for number in 0..100 {
        ends.client.refresh_traffic_keys()?;
        let sealed = sent_by(&mut ends.client)?;
        if let Err(error) = heard(&mut ends.session, &sealed) {
            ensure!(number > 20 && error.to_string().contains("TooManyKeyUpdateRequests"), "{error}");
            return Ok(());
        }
    }
    bail!("the keys have changed a hundred times");
}

/// A session, and a client that can make any record.
struct Forger {
    session: TlsSession,
    records: RecordForger,
}

impl Forger {
    fn new() -> anyhow::Result<Self> {
        let certificate = TestCertificate::new()?;
        let mut config = certificate.client(&[&TLS13])?;
        config.enable_secret_extraction = true;
        let Ends { session, client } = Ends::of(certificate.server(RecordForger::provider())?, config)?;
        Ok(Self { session, records: RecordForger::new(client.dangerous_extract_secrets()?)? })
    }

    /// Makes an encrypted record with this type, content, and padding.
    fn record(&mut self, kind: u8, content: &[u8], padding: usize) -> anyhow::Result<Vec<u8>> {
        self.records.record(kind, content, padding)
    }

    /// Makes several records, each of this type.
    fn records(&mut self, kind: u8, contents: &[&[u8]]) -> anyhow::Result<Vec<u8>> {
        let records = contents.iter().map(|content| self.record(kind, content, 0));
        Ok(records.collect::<anyhow::Result<Vec<_>>>()?.concat())
    }

    /// Gives types and contents of what the session has to send.
    fn answers(&mut self) -> anyhow::Result<Vec<(u8, Vec<u8>)>> {
        self.records.open(&waiting(&mut self.session)?)
    }

    fn hear(&mut self, records: &[u8]) -> std::io::Result<Vec<u8>> {
        heard(&mut self.session, records)
    }
}

/// Checks that a session which gets these records ends by this alert, however they are cut, and stays ended.
fn assert_refused(
    name: &str,
    alert: u8,
    forge: impl Fn(&mut Forger) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<()> {
    for at_once in [usize::MAX, 1000, 7] {
        let mut forger = Forger::new()?;
        let records = forge(&mut forger)?;
        let mut heard = records.chunks(at_once.min(records.len())).map(|part| forger.hear(part));
        let error = heard.find_map(Result::err).with_context(|| format!("{name} is taken"))?;
        drop(heard);
        ensure!(error.kind() == ErrorKind::InvalidData, "{name}: {error:?}");
        let answers = forger.answers().with_context(|| name.to_owned())?;
        ensure!(answers == [(ALERT, vec![2, alert])], "{name}: {answers:?}, {error}");
        // Nothing is received, sent or said any more.
        let more = forger.record(DATA, b"more", 0)?;
        ensure!(forger.hear(&more).is_err() && forger.hear(&records).is_err(), "{name}");
        ensure!(forger.session.write(&[IoSlice::new(b"more")]).is_err(), "{name}");
        ensure!(forger.session.seal(&[IoSlice::new(b"more")], &mut Vec::new()).is_err(), "{name}");
        forger.session.close();
        ensure!(!forger.session.wants_write(), "{name}");
    }
    Ok(())
}

#[test]
fn records_against_the_rules_end_the_session_by_an_alert() -> anyhow::Result<()> {
    const UNEXPECTED: u8 = 10;
    const BAD_MAC: u8 = 20;
    const OVERFLOW: u8 = 22;
    const ILLEGAL: u8 = 47;
    const DECODE: u8 = 50;
    assert_refused("a wrong tag", BAD_MAC, |forger| {
        let mut record = forger.record(DATA, b"forged", 0)?;
        *record.last_mut().context("a byte")? ^= 1;
        Ok(record)
    })?;
    assert_refused("a record twice", BAD_MAC, |forger| Ok(forger.record(DATA, b"again", 0)?.repeat(2)))?;
    assert_refused("a record too short for its tag", BAD_MAC, |_| {
        Ok(b"\x17\x03\x03\0\x0f0123456789abcde".to_vec())
    })?;
    assert_refused("a record too long", OVERFLOW, |forger| forger.record(DATA, &[0; RECORD + 1], 0))?;
    assert_refused("a record too long by its padding", OVERFLOW, |forger| {
        forger.record(DATA, b"", RECORD + 1)
    })?;
    assert_refused("the longest record that can be said", DECODE, |_| Ok(b"\x17\x03\x03\xff\xff".to_vec()))?;
    assert_refused("a record without header", DECODE, |_| Ok(b"GET / HTTP/1.1\r\n".to_vec()))?;
    assert_refused("an unknown type", DECODE, |forger| forger.record(99, b"what is this", 0))?;
    assert_refused("an empty ClientHello", DECODE, |forger| forger.record(HANDSHAKE, &[1, 0, 0, 0], 0))?;
    assert_refused("a finished handshake", UNEXPECTED, |forger| {
        forger.record(HANDSHAKE, &[&[20, 0, 0, 32], &[0; 32][..]].concat(), 0)
    })?;
    assert_refused("a change of ciphers", UNEXPECTED, |forger| forger.record(CHANGE_CIPHER_SPEC, &[1], 0))?;
    assert_refused(
        "a change of ciphers in the open",
        UNEXPECTED,
        |_| Ok(b"\x14\x03\x03\0\x01\x01".to_vec()),
    )?;
    assert_refused("data in the open", BAD_MAC, |_| Ok([&b"\x17\x03\x03\0\x20"[..], &[7; 32]].concat()))?;
    assert_refused("the end in the open", BAD_MAC, |_| Ok(b"\x15\x03\x03\0\x02\x01\0".to_vec()))?;
    assert_refused("half an alert", DECODE, |forger| forger.records(ALERT, &[&[1], &[0]]))?;
    assert_refused("an alert too long", DECODE, |forger| forger.record(ALERT, &[1, 0, 0], 0))?;
    assert_refused("an alert of unknown level", ILLEGAL, |forger| forger.record(ALERT, &[3, 0], 0))?;
    assert_refused("a warning", DECODE, |forger| forger.record(ALERT, &[1, 100], 0))?;
    assert_refused("two changes of keys in one record", UNEXPECTED, |forger| {
        forger.record(HANDSHAKE, &KEY_UPDATE.repeat(2), 0)
    })?;
    assert_refused("a change of keys that asks for who knows what", ILLEGAL, |forger| {
        forger.record(HANDSHAKE, &[24, 0, 0, 1, 2], 0)
    })?;
    assert_refused("a change of keys too long", DECODE, |forger| {
        forger.record(HANDSHAKE, &[24, 0, 0, 2, 1, 1], 0)
    })
}

/// Checks that a session which gets these records ends with an error, and says nothing more than an alert.
fn assert_ended(name: &str, forge: impl Fn(&mut Forger) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<()> {
    for at_once in [usize::MAX, 1000] {
        let mut forger = Forger::new()?;
        let records = forge(&mut forger)?;
        let mut heard = records.chunks(at_once.min(records.len())).map(|part| forger.hear(part));
        let error = heard.find_map(Result::err).with_context(|| format!("{name} is taken"))?;
        drop(heard);
        ensure!(error.kind() == ErrorKind::InvalidData, "{name}: {error:?}");
        let answers = forger.answers()?;
        ensure!(answers.iter().all(|(kind, _)| *kind == ALERT) && answers.len() < 2, "{name}: {answers:?}");
        ensure!(forger.session.write(&[IoSlice::new(b"more")]).is_err(), "{name}");
    }
    Ok(())
}

#[test]
fn what_says_nothing_ends_the_session() -> anyhow::Result<()> {
    assert_ended("a record without type", |forger| forger.record(0, b"", 100))?;
    assert_ended("a fatal alert", |forger| forger.record(ALERT, &[2, 80], 0))?;
    assert_ended("empty records without end", |forger| forger.records(DATA, &[&b""[..]; 100]))?;
    assert_ended("warnings without end", |forger| forger.records(ALERT, &[&[1, 90][..]; 100]))?;
    assert_ended("a message of the handshake with data in it", |forger| {
        Ok([forger.record(HANDSHAKE, &KEY_UPDATE[..2], 0)?, forger.record(DATA, b"data", 0)?].concat())
    })?;
    assert_ended("a long message of the handshake", |forger| {
        forger.records(HANDSHAKE, &[&[&[24, 0xff, 0xff, 0xff], &[0; 1000][..]].concat(), &[0; 1000]])
    })?;
    assert_ended("a message of the handshake that gets no longer", |forger| {
        let mut records = forger.record(HANDSHAKE, &KEY_UPDATE[..2], 0)?;
        for _ in 0..100 {
            records.extend(forger.record(HANDSHAKE, &[], 1000)?);
        }
        Ok(records)
    })?;
    assert_ended("a message of the handshake in padding without end", |forger| {
        let mut records = Vec::new();
        for byte in [24, 0, 0xff, 0xff, 1, 1, 1, 1, 1] {
            records.extend(forger.record(HANDSHAKE, &[byte], 16_000)?);
        }
        Ok(records)
    })
}

#[test]
fn what_the_rules_allow_is_taken() -> anyhow::Result<()> {
    let mut forger = Forger::new()?;
    // Padding and empty records, as long as they are few, say nothing.
    for (content, padding) in [(&b"padded"[..], 10_000), (b"", 0), (b"", 16_383), (b"plain", 0)] {
        let record = forger.record(DATA, content, padding)?;
        ensure!(forger.hear(&record)? == content);
    }
    let longest = message(RECORD);
    let record = forger.record(DATA, &longest, 0)?;
    ensure!(forger.hear(&record)? == longest);
    // Nothing follows from the only warning that TLS 1.3 has.
    let record = forger.record(ALERT, &[1, 90], 0)?;
    ensure!(forger.hear(&record)?.is_empty());
    ensure!(forger.answers()?.is_empty());

    // New keys are announced in pieces, between which the server sends.
    for (number, part) in KEY_UPDATE.iter().enumerate() {
        let record = forger.record(HANDSHAKE, &[*part], 100)?;
        for byte in record {
            ensure!(forger.hear(&[byte])?.is_empty());
        }
        if number < 4 {
            forger.session.write(&[IoSlice::new(b"meanwhile")])?;
            ensure!(forger.answers()? == [(DATA, b"meanwhile".to_vec())]);
        }
    }
    // The server's own follow with the next that it has to send.
    ensure!(forger.answers()?.is_empty());
    let mut sealed = Vec::new();
    forger.session.seal(&[IoSlice::new(b"with new keys")], &mut sealed)?;
    let announced = 5 + KEY_UPDATE.len() + 17;
    ensure!(sealed.len() == announced + 5 + 13 + 17, "{}", sealed.len());
    forger.session.keep(&sealed[..announced]);
    ensure!(forger.answers()? == [(HANDSHAKE, vec![24, 0, 0, 1, 0])]);
    Ok(())
}

#[test]
fn either_end_may_end_first() -> anyhow::Result<()> {
    for at_once in [usize::MAX, 1] {
        let mut forger = Forger::new()?;
        let mut records = forger.record(DATA, b"the last, ", 0)?;
        records.extend(forger.record(ALERT, &[1, 0], 0)?);
        // What follows does not count, whatever it is.
        records.extend(forger.record(DATA, b"and more", 0)?);
        records.extend([7; 100]);
        let mut heard = Vec::new();
        for part in records.chunks(at_once.min(records.len())) {
            heard.extend(forger.hear(part)?);
        }
        ensure!(heard == b"the last, " && forger.session.has_ended());
        // The server may still send.
        forger.session.write(&[IoSlice::new(b"the answer")])?;
        forger.session.close();
        forger.session.close();
        ensure!(forger.answers()? == [(DATA, b"the answer".to_vec()), (ALERT, vec![1, 0])]);
        ensure!(forger.session.write(&[IoSlice::new(b"more")]).is_err());
    }
    for version in [&TLS12, &TLS13] {
        let mut ends = Ends::new(version)?;
        ends.session.write(&[IoSlice::new(b"bye")])?;
        ends.session.close();
        ensure!(ends.take_answer()? == b"bye");
        ensure!(matches!(ends.client.reader().read(&mut [0]), Ok(0)));
        // The client may still send.
        let sealed = ends.sealed(b"bye")?;
        ensure!(heard(&mut ends.session, &sealed)? == b"bye");
        ends.client.send_close_notify();
        let sealed = sent_by(&mut ends.client)?;
        ensure!(heard(&mut ends.session, &sealed)?.is_empty() && ends.session.has_ended());
    }
    // An end without the end of TLS.
    let mut ends = Ends::new(&TLS13)?;
    ensure!(ends.session.receive(&mut &b""[..], &mut [])? == 0 && ends.session.has_ended());
    Ok(())
}
