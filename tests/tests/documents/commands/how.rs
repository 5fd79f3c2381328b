//! How it is known of each command of the documents that it works.

/// How it is known that a command works.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum How {
    /// It was run just now.
    Run,
    /// The test, or the script that `make test` runs, which runs it.
    RunBy(&'static str),
    /// No test runs it, for this reason.
    NotRun(&'static str),
}

pub(super) const BUILDS: How = How::NotRun(
    "it builds or tests the project, as the run of this test has done before; `make -n` takes it",
);
pub(super) const FETCHES: How = How::NotRun("it needs a server of the Internet, which no test asks");
