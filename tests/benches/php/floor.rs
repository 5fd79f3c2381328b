//! What a question costs at least on this machine: as many bytes there and back between two threads that do nothing else.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// About the bytes of `isUidOnline` and of its answer.
const QUESTION: usize = 40;
const ANSWER: usize = 20;
const QUESTIONS: usize = 50_000;

/// Prints the medians: over TCP and over a unix socket, with both threads on one core and wherever the system puts them.
pub(crate) fn print() -> anyhow::Result<()> {
    let anywhere = sched_getaffinity(Pid::from_raw(0))?;
    let mut one_core = CpuSet::new();
    if let Some(core) = (0..CpuSet::count()).find(|core| anywhere.is_set(*core) == Ok(true)) {
        one_core.set(core)?;
    }
    for (where_to, cores) in [("on one core", one_core), ("on any cores", anywhere)] {
        // What this thread starts stays on these too.
        sched_setaffinity(Pid::from_raw(0), &cores)?;
        let median = over_tcp();
        let of_unix = UnixStream::pair().and_then(|(one, other)| ask(one, other));
        sched_setaffinity(Pid::from_raw(0), &anywhere)?;
        println!(
            "{QUESTION} bytes and {ANSWER} back between two threads {where_to}, p50 µs: {:.1} over TCP, {:.1} over a unix socket",
            median?.as_secs_f64() * 1e6,
            of_unix?.as_secs_f64() * 1e6
        );
    }
    Ok(())
}

fn over_tcp() -> io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let asking = TcpStream::connect(listener.local_addr()?)?;
    let (answering, _) = listener.accept()?;
    asking.set_nodelay(true)?;
    answering.set_nodelay(true)?;
    ask(asking, answering)
}

/// Asks again and again, and gives the median of the times.
fn ask(mut asking: impl Read + Write, answering: impl Read + Write + Send + 'static) -> io::Result<Duration> {
    let thread = std::thread::spawn(move || answer(answering));
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let start = Instant::now();
        asking.write_all(&[0; QUESTION])?;
        asking.read_exact(&mut [0; ANSWER])?;
        times.push(start.elapsed());
    }
    drop(asking);
    thread.join().map_err(|_| io::Error::other("the thread that answers panicked"))?;
    times.sort_unstable();
    Ok(times[QUESTIONS / 2])
}

/// Answers until the other end closes.
fn answer(mut socket: impl Read + Write) {
    while socket.read_exact(&mut [0; QUESTION]).is_ok() && socket.write_all(&[0; ANSWER]).is_ok() {}
}
