//! Gives a fuzzer's check to libFuzzer, which looks for inputs that reach code that no other input has reached.
//!
//! `FUZZ_TARGET` names the target as its folder below `tests/corpus/` is named; the other targets do nothing. The process
//! ends with libFuzzer's exit code. libFuzzer keeps the inputs that it found useful in the folder `FUZZ_CORPUS`;
//! `FUZZ_OPTIONS` holds more of its options.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::time::Duration;

// The crate is linked because it contains the C function LLVMFuzzerRunDriver, which it does not declare for Rust.
use libfuzzer_sys as _;

use crate::Rng;

/// The CPU time of all threads that one input may take, unless `FUZZ_CPU_SECONDS` says otherwise. It is not the time on the
/// clock, because on a busy machine that would report inputs that are not slow.
const MAX_CPU: Duration = Duration::from_secs(1);

type Check<'a> = dyn Fn(&[u8], &mut Rng) + 'a;

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        run: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

thread_local! {
    static CHECK: Cell<Option<&'static Check<'static>>> = const { Cell::new(None) };
}

/// Gives whether libFuzzer is asked for. If so, the target that `FUZZ_TARGET` names runs to the end of the process, and any
/// other target does nothing.
pub(crate) fn run(target: &str, seeds: &Path, corpus: &[Vec<u8>], check: &Check) -> bool {
    let Ok(wanted) = std::env::var("FUZZ_TARGET") else { return false };
    if wanted == target
        && let Err(error) = fuzz(seeds, corpus, check)
    {
        panic!("{target}: {error:#}");
    }
    true
}

fn fuzz(seeds: &Path, corpus: &[Vec<u8>], check: &Check) -> anyhow::Result<()> {
    let learned = std::env::var("FUZZ_CORPUS")?;
    std::fs::create_dir_all(&learned)?;
    for (number, input) in corpus.iter().enumerate() {
        std::fs::write(Path::new(&learned).join(format!("sample-{number}")), input)?;
    }
    let options = std::env::var("FUZZ_OPTIONS").unwrap_or_default();
    let program = std::env::args().next().unwrap_or_default();
    let seeds = seeds.display().to_string();
    let arguments =
        [program.as_str()].into_iter().chain(options.split_whitespace()).chain([&*learned, &*seeds]);
    let arguments = arguments.map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let (mut count, mut pointers) = (arguments.len() as c_int, pointers.as_mut_ptr());

    // A panic in any thread counts as a failure, also where something catches it.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        std::process::abort();
    }));
    // SAFETY: only the lifetime changes. The check outlives the driver's run, which alone calls it, and the process ends
    // right after that run.
    CHECK.set(Some(unsafe { std::mem::transmute::<&Check, &'static Check<'static>>(check) }));
    // SAFETY: `pointers` is a list of C strings with a null at its end, and `count` is their number.
    let verdict = unsafe { LLVMFuzzerRunDriver(&mut count, &mut pointers, one) };
    std::process::exit(verdict);
}

extern "C" fn one(data: *const u8, length: usize) -> c_int {
    // SAFETY: libFuzzer gives as many bytes as it says, for the time of the call; for no bytes the pointer may be null.
    let input = if length == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, length) } };
    if let Some(check) = CHECK.get() {
        let before = cpu_time();
        check(input, &mut Rng::of(input));
        let taken = cpu_time().saturating_sub(before);
        assert!(taken <= max_cpu(), "{length} bytes took {taken:?} of the processor");
    }
    0
}

/// Is called by libFuzzer's own `main`, which is not used here; it stands here because the linker asks for it.
#[expect(improper_ctypes_definitions, reason = "nothing in C calls it; libfuzzer-sys declares it so")]
#[unsafe(no_mangle)]
extern "C" fn rust_fuzzer_test_input(_: &[u8]) -> i32 {
    0
}

fn max_cpu() -> Duration {
    std::env::var("FUZZ_CPU_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map_or(MAX_CPU, Duration::from_secs)
}

/// The CPU time that all threads of this process have taken so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: every Linux has this clock, and `time` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
