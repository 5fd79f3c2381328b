//! A small fuzzer: it makes inputs from good ones by many small changes. Each input has a seed of its own, so that a failing
//! one can be run again.
//!
//! Ordinary test runs try the same twenty thousand inputs for each target every time. With `FUZZ_SECONDS` each target runs
//! that long instead, from another seed every time; `FUZZ_SEED` runs the one input that a failure has named.
//!
//! With the feature `libfuzzer`, the same checks are guided by the code that inputs reach: scripts/fuzz does that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::root;

/// The number of inputs that an ordinary test run tries for each target.
const CASES: u64 = 20_000;
/// The time after which an ordinary test run stops even when it has not tried them all: on a slow machine it would take too
/// long.
const ORDINARY: Duration = Duration::from_secs(5);
/// The length in bytes to which inputs are cut.
const MAX_INPUT: usize = 16 << 10;

/// The CPU time that one input of the corpus may take, even without optimisation. CPU time is measured because a busy machine
/// does not make it longer.
const MAX_CPU: Duration = Duration::from_secs(5);

/// Runs `check`, which panics where something is wrong, on inputs made from `corpus` and from the files of
/// `tests/corpus/` for this target.
pub fn fuzz(target: &str, corpus: &[Vec<u8>], check: impl Fn(&[u8], &mut Rng)) {
    let name = target.to_lowercase().replace(' ', "-");
    let directory = root().join("tests/corpus").join(&name);
    #[cfg(feature = "libfuzzer")]
    if crate::libfuzzer::run(&name, &directory, corpus, &check) {
        return;
    }
    let corpus = &match seeds(&directory) {
        Ok(seeds) => [corpus, &seeds].concat(),
        Err(error) => panic!("{}, where the seeds of {target} belong: {error}", directory.display()),
    };
    let run = |seed: u64| {
        let mut rng = Rng::new(seed);
        let input = rng.mutate(corpus);
        if catch_unwind(AssertUnwindSafe(|| check(&input, &mut rng))).is_err() {
            let directory = directory.display();
            panic!(
                "{target} fails with FUZZ_SEED={seed}, and so it would with a file in {directory} that holds b\"{}\"",
                input.escape_ascii()
            );
        }
    };
    // Every input of the corpus also runs unchanged: some of the files are inputs that failed once.
    for input in corpus {
        let before = cpu_time();
        check(input, &mut Rng::of(input));
        let taken = cpu_time().saturating_sub(before);
        assert!(taken < MAX_CPU, "{target} takes {taken:?} of the processor for {}", input.escape_ascii());
    }
    if let Some(seed) = variable("FUZZ_SEED") {
        return run(seed);
    }
    let (first, cases, time) = match variable("FUZZ_SECONDS") {
        Some(seconds) => (seed_of_now(), u64::MAX, Duration::from_secs(seconds)),
        None => (0, CASES, ORDINARY),
    };
    let start = Instant::now();
    let mut tried = 0;
    while tried < cases && start.elapsed() < time {
        run(first.wrapping_add(tried));
        tried += 1;
    }
    println!("{target}: {tried} inputs from seed {first}");
}

/// The CPU time that this thread has taken so far.
fn cpu_time() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(Duration::ZERO, Duration::from)
}

/// Reads the files of a folder, in the order of their names: the order decides which input a seed makes.
fn seeds(directory: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut files =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(std::fs::read).collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed_of_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

/// The SplitMix64 generator: it is small and fast, and gives the same numbers on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator that belongs to an input: its seed is the FNV-1a hash of the input's bytes. So a file that once failed
    /// fails again.
    pub fn of(input: &[u8]) -> Self {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(input.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number less than `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.draw() % limit as u64) as usize }
    }

    /// Cuts `input` into pieces as a socket may deliver it: single bytes, or pieces of random lengths.
    pub fn pieces<'a>(&mut self, mut input: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = [1, 2, 7, 100, 5000][self.below(5)];
        let mut pieces = Vec::new();
        while !input.is_empty() {
            let (piece, rest) = input.split_at((1 + self.below(longest)).min(input.len()));
            pieces.push(piece);
            input = rest;
        }
        pieces
    }

    fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus);
        for _ in 0..=self.below(4) {
            self.change(&mut input, corpus);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at).min(64) + 1);
        match self.below(9) {
            // This writes a number that looks like a length, near a bound of some format: parsers easily believe lengths.
            0 => {
                let length =
                    [0, 1, 4, 27, 28, 125, 126, 0xffff, 1 << 20, 0x7fff_ffff, u32::MAX][self.below(11)];
                let length = length.wrapping_add(self.below(3) as u32).wrapping_sub(1).to_be_bytes();
                let end = (at + 4).min(input.len());
                input.splice(at..end, length);
            }
            1 => {
                let byte = self.byte();
                input.insert(at, byte);
            }
            2 => drop(input.drain(at..end)),
            3 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            4 => input.truncate(at),
            5 => {
                let other = self.pick(corpus);
                let from = self.below(other.len() + 1);
                input.splice(at..end, other[from..].iter().copied());
            }
            6 => {
                let whole = self.pick(corpus);
                input.extend_from_slice(&whole);
            }
            _ => {
                let byte = if self.below(2) == 0 { Some(self.byte()) } else { None };
                let bit = 1 << self.below(8);
                if let Some(place) = input.get_mut(at) {
                    *place = byte.unwrap_or(*place ^ bit);
                }
            }
        }
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\r\n\"{}[]:;,0919-+ aNisORrbdC\xc0\xc1\xc4\xdd\xdf";
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.draw() as u8 }
    }

    fn pick(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        corpus.get(self.below(corpus.len())).cloned().unwrap_or_default()
    }
}
