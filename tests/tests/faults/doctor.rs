//! `gateway-server doctor` on a machine whose limits, clock and kernel are not as they should be.

use std::io;

use gateway_tests::{Diagnosis, WrongClock};
use nix::libc;
use rlimit::Resource;
use tokio::process::Command;

/// Makes the process call `act` before it becomes the doctor.
#[allow(unsafe_code)]
fn beforehand(command: &mut Command, act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the callers' functions make only a few system calls.
    unsafe {
        command.pre_exec(act);
    }
}

#[tokio::test]
async fn few_files_may_be_open() -> anyhow::Result<()> {
    let found = Diagnosis::with(|command| beforehand(command, || Resource::NOFILE.set(500, 500))).await?;
    found.assert("mend", "descriptors", "may open 500 files");
    Ok(())
}

#[tokio::test]
async fn the_clock_stands_long_before_the_program_was_made() -> anyhow::Result<()> {
    let test = "the_clock_stands_long_before_the_program_was_made";
    let Some(clock) = WrongClock::new(test, "-9000d")? else { return Ok(()) };
    let found = Diagnosis::with(|command| clock.give(command)).await?;
    found.assert("mend", "clock", "before this program was made");
    Ok(())
}

/// Has the kernel deny io_uring, as containers do.
#[allow(unsafe_code)]
fn deny_io_uring() -> io::Result<()> {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_io_uring_setup as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its statements outlive both calls.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[tokio::test]
async fn the_kernel_denies_io_uring() -> anyhow::Result<()> {
    let found = Diagnosis::with(|command| beforehand(command, deny_io_uring)).await?;
    found.assert("note", "io_uring", "the kernel does not permit it here");
    assert_eq!(found.code, 0, "{:#}", found.report);
    let found = Diagnosis::of(&["--io-uring", "false"]).await?;
    found.assert("skipped", "io_uring", "it is switched off");
    Ok(())
}
