//! A thread-safe PHP that runs scripts in threads: they need that PHP, and are skipped without it (`make test-threads`).

mod ends;
mod forks;
mod loops;

use std::collections::BTreeMap;

use anyhow::Context as _;
use gateway_tests::{Client, ThreadedPhp, skip};

/// Gives the PHP that the environment names; without one, the test says that it is skipped.
fn threaded_php(test: &str) -> Option<ThreadedPhp> {
    ThreadedPhp::of_the_environment().map_err(|reason| skip(test, &reason)).ok()
}

const UID: &str = "anna";

/// Reads messages `SENDER NUMBER` until there are `count`, and gives the numbers of each sender in the order of arrival.
async fn received(client: &mut Client, count: usize) -> anyhow::Result<BTreeMap<String, Vec<u64>>> {
    let mut senders = BTreeMap::<String, Vec<u64>>::new();
    for _ in 0..count {
        let text = client.text().await?;
        let (sender, number) = text.split_once(' ').context("SENDER NUMBER")?;
        senders.entry(sender.to_owned()).or_default().push(number.parse()?);
    }
    Ok(senders)
}
