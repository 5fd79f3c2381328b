//! A thread that forks while others work: parent and child go on with links of their own.

use gateway_tests::{Client, PhpHost, Server, skip};

use crate::{UID, received, threaded_php};

#[tokio::test]
async fn a_thread_may_fork_while_others_send() -> anyhow::Result<()> {
    const THREADS: usize = 8;
    const FORKING: usize = THREADS / 2;
    const TEST: &str = "a_thread_may_fork_while_others_send";
    let Some(php) = threaded_php(TEST) else { return Ok(()) };
    if std::env::var("ZTS_CFLAGS").is_ok_and(|flags| flags.contains("address")) {
        skip(
            TEST,
            "AddressSanitizer's allocator may be locked for ever in a child of a process with threads",
        );
        return Ok(());
    }
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, UID).await?;
    // A child ends with its request, on a machine that may be busy.
    let mut host = PhpHost::start(&php, &server, &["gateway.flush_timeout=20"]).await?;
    for _ in 0..3 {
        let printed = host.run(THREADS, "fork.php", UID).await?;
        assert_eq!(printed.len(), FORKING, "{printed:?}");
        let senders = received(&mut client, THREADS * 100 + FORKING * 40).await?;
        assert_eq!(senders.len(), THREADS + FORKING, "{senders:?}");
        for (sender, numbers) in senders {
            let sent = if sender.starts_with("child") { 40 } else { 100 };
            assert!(numbers.iter().copied().eq(0..sent), "{sender}: {numbers:?}");
        }
    }
    assert_eq!(host.end().await?, "");
    Ok(())
}
