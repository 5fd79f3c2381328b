//! What the server costs, in instructions and bytes, held against the figures of recorded.toml (`make costs`).

mod instructions;
mod memory;
mod profile;
mod recorded;
mod valgrind;

use gateway_tests::skip;
use recorded::Recorded;
use valgrind::Valgrind;

/// The optimised server, as scripts/costs has built it from these sources.
const SERVER: &str = "GATEWAY_SERVER";

#[tokio::test]
#[ignore = "it takes an optimised server: make costs"]
async fn costs_are_those_that_are_recorded() -> anyhow::Result<()> {
    let recorded = Recorded::read()?;
    if let Some(reason) = recorded.is_for_elsewhere()?.or_else(Valgrind::missing) {
        skip("costs", &reason);
        return Ok(());
    }
    anyhow::ensure!(
        std::env::var_os(SERVER).is_some(),
        "{SERVER} names no optimised server: `make costs` does"
    );
    rlimit::increase_nofile_limit(u64::MAX)?;
    let (instructions, through_ring, memory) =
        tokio::try_join!(instructions::count(), instructions::through_ring(), memory::count())?;
    recorded.compare([instructions, through_ring, memory].concat())
}
