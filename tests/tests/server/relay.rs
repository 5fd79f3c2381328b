//! The relay: clients that speak TLS go on over the process that has their TLS sessions, while another one serves them by the ends of pairs.

use std::io::{ErrorKind, IoSlice};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gateway_server::net::tls::{TlsSession, TlsStream as ServedStream};
use gateway_server::net::{relay_pair, reset_on_close};
use gateway_server::relay::{Relay, RelayCounts, RelayHandle, RelayReport, RelayedClient};
use gateway_tests::{TestCertificate, connect_tls, eventually, soon, suites_of_few_records};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

const MIB: usize = 1 << 20;

/// A relay in a thread of its own.
struct Rig {
    certificate: TestCertificate,
    config: Arc<ServerConfig>,
    listener: TcpListener,
    counts: Arc<RelayCounts>,
    handle: RelayHandle,
    /// Gives the time that the thread has had a processor, in nanoseconds.
    thread: JoinHandle<std::io::Result<u64>>,
}

/// A client that speaks TLS.
type TlsClient = TlsStream<TcpStream>;
/// The server's end of a client's connection, after its TLS handshake.
type Accepted = (TcpStream, Box<TlsSession>);

impl Rig {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with(|relay| relay).await
    }

    async fn start_with(set: impl FnOnce(Relay) -> Relay) -> anyhow::Result<Self> {
        let certificate = TestCertificate::new()?;
        let config = certificate.server(ring::default_provider())?;
        let counts = Arc::new(RelayCounts::default());
        let relay = set(Relay::new(Arc::clone(&counts))?);
        let handle = relay.handle();
        let thread = std::thread::spawn(move || {
            relay.run()?;
            let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
            let time = times.split(' ').next().and_then(|time| time.parse().ok());
            time.ok_or_else(|| std::io::Error::other("the time of the thread"))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { certificate, config, listener, counts, handle, thread })
    }

    /// Connects a client up to the end of its handshake.
    async fn connect_with(&self, config: ClientConfig) -> anyhow::Result<(TlsClient, Accepted)> {
        let tcp = TcpStream::connect(self.listener.local_addr()?).await?;
        let (accepted, _) = self.listener.accept().await?;
        // Sizes that are set do not grow any more, so a connection that is full stays full.
        SockRef::from(&accepted).set_send_buffer_size(64 << 10)?;
        SockRef::from(&tcp).set_recv_buffer_size(64 << 10)?;
        let accept = async {
            ServedStream::accept(accepted, Arc::clone(&self.config)).await.map_err(|(error, _)| error)
        };
        let handshake = async { tokio::try_join!(connect_tls(config, tcp), accept) };
        let (client, accepted) = soon("a TLS handshake", handshake).await??;
        Ok((client, accepted.into_parts()))
    }

    /// Gives the relay a client. Gives the end by which the client is served.
    fn relay(&self, (tcp, tls): Accepted) -> anyhow::Result<UnixStream> {
        let (pair, served) = relay_pair()?;
        let tcp = mio::net::TcpStream::from_std(tcp.into_std()?);
        self.handle.add(RelayedClient { tcp, tls, pair });
        Ok(UnixStream::from_std(StdUnixStream::from(served))?)
    }

    async fn client_of(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> anyhow::Result<(TlsClient, UnixStream)> {
        let (client, accepted) = self.connect_with(self.certificate.client(&[version])?).await?;
        Ok((client, self.relay(accepted)?))
    }

    async fn client(&self) -> anyhow::Result<(TlsClient, UnixStream)> {
        self.client_of(&TLS13).await
    }

    async fn clients_become(&self, count: u64) -> anyhow::Result<()> {
        eventually("the relay's clients", count, async || Ok(self.counts.report().clients)).await
    }

    /// Waits until the relay has ended because its last client has gone. Gives its last report and the processor time of its thread.
    async fn ended(self) -> anyhow::Result<(RelayReport, u64)> {
        self.handle.complete();
        let thread = tokio::task::spawn_blocking(|| self.thread.join());
        let time = soon("the end of the relay", thread).await??.map_err(|_| anyhow::anyhow!("a panic"))??;
        let report = self.counts.report();
        assert_eq!(report.clients, 0);
        Ok((report, time))
    }
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// Writes everything in pieces of random sizes.
async fn write_in_pieces(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], seed: u64) -> anyhow::Result<()> {
    let (mut numbers, mut rest) = (Numbers(seed), bytes);
    while !rest.is_empty() {
        let most = [10, 1000, 100_000][numbers.below(3)];
        let (piece, left) = rest.split_at(rest.len().min(1 + numbers.below(most)));
        soon("room for a piece", to.write_all(piece)).await??;
        soon("a flush", to.flush()).await??;
        rest = left;
    }
    Ok(())
}

/// Reads this many bytes, slowly and in pieces of random sizes.
async fn read_slowly(
    from: &mut (impl AsyncRead + Unpin),
    length: usize,
    seed: u64,
) -> anyhow::Result<Vec<u8>> {
    let (mut numbers, mut all) = (Numbers(seed), Vec::new());
    let mut buffer = vec![0; 200_000];
    while all.len() < length {
        let room = (length - all.len()).min(1 + numbers.below(buffer.len()));
        let read = soon("a piece", from.read(&mut buffer[..room])).await??;
        anyhow::ensure!(read > 0, "the end after {} of {length} bytes", all.len());
        all.extend_from_slice(&buffer[..read]);
        if numbers.below(20) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(all)
}

async fn read_to_end(from: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<std::io::Result<Vec<u8>>> {
    let mut bytes = Vec::new();
    Ok(soon("the end", from.read_to_end(&mut bytes)).await?.map(|_| bytes))
}

/// Writes until nothing has been taken for some time. Gives the number of bytes that were taken.
async fn fill(to: &mut (impl AsyncWrite + Unpin)) -> anyhow::Result<usize> {
    let mut taken = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), to.write(&[7; 10_000])).await {
        taken += written?;
    }
    Ok(taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_pass_in_both_directions_at_once_past_slow_readers() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    for version in [&TLS12, &TLS13] {
        let (client, served) = rig.client_of(version).await?;
        let [up, down] = [1, 2].map(|seed| Numbers(seed).bytes(8 * MIB));
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut served_reads, mut served_writes) = served.into_split();
        let (_, _, at_served, at_client) = tokio::try_join!(
            write_in_pieces(&mut client_writes, &up, 3),
            write_in_pieces(&mut served_writes, &down, 4),
            read_slowly(&mut served_reads, up.len(), 5),
            read_slowly(&mut client_reads, down.len(), 6),
        )?;
        assert!(at_served == up && at_client == down, "{version:?}");
    }
    let (report, _) = rig.ended().await?;
    assert_eq!((report.from_clients, report.to_clients), (16 << 20, 16 << 20));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_megabyte_costs() -> anyhow::Result<()> {
    const COUNT: usize = 64;
    let rig = Rig::start().await?;
    let (mut client, mut served) = rig.client().await?;
    let bytes = vec![7; MIB];
    let echo = async {
        let (mut reads, mut writes) = served.split();
        tokio::io::copy(&mut reads, &mut writes).await
    };
    let pages = async {
        let mut back = vec![0; MIB];
        for _ in 0..COUNT {
            // The pair and the sockets hold less than a megabyte.
            let (mut reads, mut writes) = tokio::io::split(&mut client);
            let write = async {
                writes.write_all(&bytes).await?;
                writes.flush().await
            };
            tokio::try_join!(write, reads.read_exact(&mut back))?;
        }
        client.shutdown().await
    };
    let (echoed, ()) = soon("the echoes", async { tokio::try_join!(echo, pages) }).await??;
    assert_eq!(echoed, (COUNT * MIB) as u64);
    drop((client, served));
    let (_, time) = rig.ended().await?;
    let each = time as f64 / 1e6 / (2 * COUNT) as f64;
    println!("the relay takes {each:.2} ms of processor time for a megabyte in one direction (this build)");
    Ok(())
}

#[tokio::test]
async fn a_client_that_sends_nothing_more_is_still_sent_to() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    for version in [&TLS12, &TLS13] {
        for ends_tls in [true, false] {
            let (mut client, mut served) = rig.client_of(version).await?;
            client.write_all(b"the last").await?;
            client.flush().await?;
            if ends_tls {
                client.shutdown().await?;
            } else {
                SockRef::from(client.get_ref().0).shutdown(std::net::Shutdown::Write)?;
            }
            assert_eq!(read_to_end(&mut served).await??, b"the last");
            let answer = vec![3; MIB];
            let write = async {
                served.write_all(&answer).await?;
                served.shutdown().await
            };
            let (_, read) = tokio::join!(write, read_to_end(&mut client));
            assert!(read?? == answer, "{version:?}, {ends_tls}");
        }
    }
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_sent_nothing_more_is_still_heard() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    for version in [&TLS12, &TLS13] {
        let (mut client, mut served) = rig.client_of(version).await?;
        served.write_all(b"the last").await?;
        served.shutdown().await?;
        // Without the end of the TLS session this would be an error.
        assert_eq!(read_to_end(&mut client).await??, b"the last");
        let rest = vec![5; MIB];
        let write = async {
            client.write_all(&rest).await?;
            client.shutdown().await
        };
        let (_, read) = tokio::join!(write, read_to_end(&mut served));
        assert!(read?? == rest, "{version:?}");
    }
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn what_was_sent_before_the_end_of_both_directions_arrives() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let (mut client, mut served) = rig.client().await?;
    // More than the relay holds, so that it still waits in the pair when the serving process has closed its end.
    let sent = tokio::spawn(async move {
        let mut sent = 0;
        while sent < MIB {
            sent += served.write(&[1; 1000]).await?;
        }
        Ok::<_, std::io::Error>(sent)
    });
    let mut buffer = vec![0; 100_000];
    let mut read = client.read(&mut buffer).await?;
    while !sent.is_finished() {
        read += soon("bytes", client.read(&mut buffer)).await??;
    }
    read += read_to_end(&mut client).await??.len();
    assert_eq!(read, soon("the sender", sent).await???);
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn what_a_client_has_sent_before_its_reset_arrives() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let (mut client, mut served) = rig.client().await?;
    client.write_all(b"the last").await?;
    client.flush().await?;
    let mut first = [0; 8];
    soon("the last bytes", served.read_exact(&mut first)).await??;
    SockRef::from(client.get_ref().0).set_linger(Some(Duration::ZERO))?;
    drop(client);
    assert_eq!((read_to_end(&mut served).await??, &first), (Vec::new(), b"the last"));
    rig.clients_become(0).await?;
    let error = served.write_all(b"nobody is here").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn a_reset_by_the_serving_process_resets_the_client_whatever_waits() -> anyhow::Result<()> {
    for is_full in [false, true] {
        let rig = Rig::start().await?;
        let (mut client, mut served) = rig.client().await?;
        if is_full {
            // The client reads nothing, so the sockets, the relay and the pair fill up.
            assert!(fill(&mut served).await? > 64 << 10);
        }
        reset_on_close(&served);
        drop(served);
        rig.clients_become(0).await?;
        let end = read_to_end(&mut client).await?.map(|bytes| bytes.len());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset, "{is_full}");
        rig.ended().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_serving_process_that_ends_without_reading_all_resets_nobody() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let (mut client, mut served) = rig.client().await?;
    client.write_all(b"not read").await?;
    client.flush().await?;
    soon("bytes", served.readable()).await??;
    served.write_all(b"the last").await?;
    drop(served);
    assert_eq!(read_to_end(&mut client).await??, b"the last");
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_what_is_left_for_it_is_given_up_and_a_slow_one_is_not()
-> anyhow::Result<()> {
    let rig = Rig::start_with(|relay| relay.with_patience(Duration::from_secs(1))).await?;
    let (mut stuck, mut stuck_served) = rig.client().await?;
    let (mut slow, mut slow_served) = rig.client().await?;
    let (_, filled) = tokio::try_join!(fill(&mut stuck_served), fill(&mut slow_served))?;
    // As long as the serving process has its end, a client that takes nothing is its matter.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.counts.report().clients, 2);
    drop((stuck_served, slow_served));
    let mut read = 0;
    while read < filled {
        let mut bytes = vec![0; 100_000.min(filled - read)];
        read += soon("bytes", slow.read_exact(&mut bytes)).await??;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(read_to_end(&mut slow).await??, b"");
    rig.clients_become(0).await?;
    let end = read_to_end(&mut stuck).await?.map(|bytes| bytes.len());
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_breaks_tls_goes_alone() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let (mut other, mut other_served) = rig.client().await?;
    let (client, mut served) = rig.client().await?;
    let (mut tcp, _) = client.into_inner();
    tcp.write_all(b"this is no record of TLS, and is long enough for one").await?;
    assert_eq!(read_to_end(&mut served).await??, b"");
    // It gets an alert, encrypted, before the end.
    assert!(!read_to_end(&mut tcp).await?.unwrap_or_default().is_empty());
    rig.clients_become(1).await?;
    other.write_all(b"hello").await?;
    other.flush().await?;
    let mut hello = [0; 5];
    soon("hello", other_served.read_exact(&mut hello)).await??;
    assert_eq!(&hello, b"hello");
    drop((other, other_served));
    rig.ended().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_clients_a_third_goes_in_the_middle_of_a_message() -> anyhow::Result<()> {
    const CLIENTS: usize = 1000;
    const MESSAGE: usize = 30_000;
    let rig = Rig::start().await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(rig.client().await?);
    }
    rig.clients_become(CLIENTS as u64).await?;
    let tasks = clients.into_iter().enumerate().map(|(number, (mut client, mut served))| {
        tokio::spawn(async move {
            let message = Numbers(number as u64).bytes(MESSAGE);
            if number % 3 == 0 {
                let half = &message[..MESSAGE / 2];
                client.write_all(half).await?;
                client.flush().await?;
                if number % 2 == 0 {
                    // All of the half must have come before a reset, which throws away what has not.
                    let mut come = vec![0; half.len()];
                    served.read_exact(&mut come).await?;
                    SockRef::from(client.get_ref().0).set_linger(Some(Duration::ZERO))?;
                    drop(client);
                    anyhow::ensure!(come == half && read_to_end(&mut served).await??.is_empty(), "{number}");
                } else {
                    drop(client);
                    anyhow::ensure!(read_to_end(&mut served).await?? == half, "{number}");
                }
                return Ok(None);
            }
            let mut heard = vec![0; MESSAGE];
            for _ in 0..3 {
                tokio::try_join!(
                    async {
                        client.write_all(&message).await?;
                        client.flush().await
                    },
                    served.read_exact(&mut heard)
                )?;
                anyhow::ensure!(heard == message, "{number} to its server");
                heard.fill(0);
                tokio::try_join!(served.write_all(&message), client.read_exact(&mut heard))?;
                anyhow::ensure!(heard == message, "{number} from its server");
            }
            Ok::<_, anyhow::Error>(Some((client, served)))
        })
    });
    let mut left = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        left.extend(soon("a client", task).await???);
    }
    assert_eq!(left.len(), CLIENTS - CLIENTS.div_ceil(3));
    rig.clients_become(left.len() as u64).await?;
    drop(left);
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn keys_may_change_at_any_time() -> anyhow::Result<()> {
    let mut rig = Rig::start().await?;
    let mut provider = ring::default_provider();
    provider.cipher_suites = suites_of_few_records(3);
    rig.config = rig.certificate.server(provider)?;
    let (mut client, (tcp, mut tls)) = rig.connect_with(rig.certificate.client(&[&TLS13])?).await?;
    // The server's new keys are announced by what it has not written yet.
    let message = b"with the old keys and with new ones";
    for byte in message {
        tls.write(&[IoSlice::new(&[*byte])])?;
    }
    let mut served = rig.relay((tcp, tls))?;
    let mut heard = [0; 35];
    soon("with new keys", client.read_exact(&mut heard)).await??;
    assert_eq!(&heard, message);
    for number in 0..20_u8 {
        client.get_mut().1.refresh_traffic_keys()?;
        let message = vec![number; 20_000];
        let mut heard = vec![0; message.len()];
        let write = async {
            client.write_all(&message).await?;
            client.flush().await
        };
        soon("the message", async { tokio::try_join!(write, served.read_exact(&mut heard)) }).await??;
        assert!(heard == message);
        served.write_all(&message).await?;
        soon("the answer", client.read_exact(&mut heard)).await??;
        assert!(heard == message);
    }
    drop((client, served));
    rig.ended().await?;
    Ok(())
}

/// Reads so many bytes into the TLS session, and decrypts what is whole.
async fn take_in((tcp, tls): &mut Accepted, length: usize) -> anyhow::Result<()> {
    let mut bytes = vec![0; length];
    soon("bytes", tcp.read_exact(&mut bytes)).await??;
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        tls.receive(&mut bytes, &mut [])?;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_tls_session_held_when_the_relay_began_is_carried() -> anyhow::Result<()> {
    for version in [&TLS12, &TLS13] {
        let rig = Rig::start().await?;
        let (mut client, mut accepted) = rig.connect_with(rig.certificate.client(&[version])?).await?;
        // A record takes at least five bytes more than its message.
        client.write_all(b"decrypted, ").await?;
        client.flush().await?;
        take_in(&mut accepted, 16).await?;
        while accepted.1.decrypted().len() < 11 {
            take_in(&mut accepted, 1).await?;
        }
        // Of the next record the session has a part, and the socket the rest.
        client.write_all(b"received in part, ").await?;
        client.flush().await?;
        take_in(&mut accepted, 10).await?;
        accepted.1.write(&[IoSlice::new(b"encrypted and not written")])?;
        let mut served = rig.relay(accepted)?;
        client.write_all(b"and sent later").await?;
        client.shutdown().await?;
        let heard = read_to_end(&mut served).await??;
        assert_eq!(String::from_utf8(heard)?, "decrypted, received in part, and sent later", "{version:?}");
        drop(served);
        assert_eq!(read_to_end(&mut client).await??, b"encrypted and not written");
        rig.ended().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_waits_for_its_clients_and_cuts_them_off_in_the_end()
-> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let (mut idle, mut idle_served) = rig.client().await?;
    let (mut stuck, mut stuck_served) = rig.client().await?;
    let (mut goes, mut goes_served) = rig.client().await?;
    fill(&mut stuck_served).await?;
    rig.handle.stop_within(Duration::from_secs(3600));
    goes_served.write_all(b"bye").await?;
    drop(goes_served);
    assert_eq!(read_to_end(&mut goes).await??, b"bye");
    rig.clients_become(2).await?;
    rig.handle.stop_within(Duration::ZERO);
    // A longer time than an earlier one does not count.
    rig.handle.stop_within(Duration::from_secs(3600));
    rig.clients_become(0).await?;
    // Nothing waits for this client, which is told that this is the end.
    assert_eq!(read_to_end(&mut idle).await??, b"");
    assert_eq!(read_to_end(&mut idle_served).await??, b"");
    let end = read_to_end(&mut stuck).await?.map(|bytes| bytes.len());
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    rig.ended().await?;
    Ok(())
}

#[tokio::test]
async fn a_relay_that_has_ended_drops_whom_it_is_given() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let (mut client, accepted) = rig.connect_with(rig.certificate.client(&[&TLS13])?).await?;
    rig.handle.complete();
    eventually("the thread's end", true, async || Ok(rig.thread.is_finished())).await?;
    let mut served = rig.relay(accepted)?;
    assert_eq!(read_to_end(&mut served).await??, b"");
    assert_eq!(read_to_end(&mut client).await?.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    Ok(())
}

/// The variable that says to the test below that it is the process to be measured.
const MEASURED: &str = "GATEWAY_TEST_MEASURED_RELAY";

/// The memory of this process, in bytes.
fn memory() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).unwrap_or_default();
    Ok(kib.parse::<usize>()? * 1024)
}

/// Memory is that of a whole process, so a process of its own does what is measured.
#[tokio::test]
async fn clients_and_servers_that_read_nothing_cost_a_relay_no_more_than_its_bounds() -> anyhow::Result<()> {
    if std::env::var_os(MEASURED).is_none() {
        let name = "relay::clients_and_servers_that_read_nothing_cost_a_relay_no_more_than_its_bounds";
        let mut command = Command::new(std::env::current_exe()?);
        let output = command.args(["--exact", name, "--nocapture"]).env(MEASURED, "1").output()?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return Ok(());
    }
    const CLIENTS: usize = 100;
    let rig = Rig::start().await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(rig.client().await?);
    }
    rig.clients_become(CLIENTS as u64).await?;
    let before = memory()?;
    let fillers: Vec<_> = clients
        .into_iter()
        .map(|(mut client, mut served)| {
            tokio::spawn(async move {
                // The client's own session would hold what it cannot write, and is measured as well.
                client.get_mut().1.set_buffer_limit(Some(10_000));
                let sent = tokio::try_join!(fill(&mut client), fill(&mut served))?;
                Ok::<_, anyhow::Error>((sent, client, served))
            })
        })
        .collect();
    let (mut sent, mut clients) = (0, Vec::new());
    for filler in fillers {
        let ((up, down), client, served) = filler.await??;
        sent += up + down;
        clients.push((client, served));
    }
    let each = memory()?.saturating_sub(before) / CLIENTS;
    println!(
        "{} KiB were sent for each client, of which the relay holds {} KiB at most",
        sent / CLIENTS / 1024,
        each / 1024
    );
    // The sockets take far more than the relay does.
    assert!(sent / CLIENTS > 200 << 10 && each < 128 << 10, "{sent} {each}");
    drop(clients);
    rig.ended().await?;
    Ok(())
}
