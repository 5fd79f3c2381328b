//! The heap that idle clients take: without a uid, with one, of `gateway.2`, and through TLS.

use gateway_tests::{Client, PhpPeer, ResumingPage, TestCertificate};

use crate::recorded::Figure;
use crate::valgrind::Valgrind;

/// The clients that come first cost more.
const FIRST: usize = 100;
/// A number of clients at which the server's tables are well filled: they double when they are full.
const CLIENTS: usize = 3000;
const TLS_CLIENTS: usize = 300;

pub(crate) async fn count() -> anyhow::Result<Vec<Figure>> {
    Ok([plain().await?, of_gateway_2().await?, through_tls().await?].concat())
}

async fn plain() -> anyhow::Result<Vec<Figure>> {
    let valgrind = Valgrind::start("massif", &["--depth=1"], &[]).await?;
    let websocket = valgrind.server.websocket;
    let mut php = PhpPeer::connect(valgrind.server.register[0]).await?;
    let mut clients = Vec::new();
    let mut heaps = Vec::new();
    for upto in [FIRST, CLIENTS] {
        while clients.len() < upto {
            clients.push(Client::connect(websocket).await?);
        }
        heaps.push(settled(&valgrind, &mut php).await?);
    }
    for (number, client) in clients.iter().enumerate() {
        php.bind(client.id, &format!("u{number}")).await?;
    }
    php.acked().await?;
    heaps.push(settled(&valgrind, &mut php).await?);
    let idle = each(heaps[0], heaps[1], CLIENTS - FIRST);
    let uid = each(heaps[1], heaps[2], CLIENTS);
    Ok(vec![("an idle client, bytes", idle), ("an idle client with a uid, bytes", idle + uid)])
}

/// Pages of `gateway.2`, for which no message is kept.
async fn of_gateway_2() -> anyhow::Result<Vec<Figure>> {
    let valgrind = Valgrind::start("massif", &["--depth=1"], &[]).await?;
    let mut php = PhpPeer::connect(valgrind.server.register[0]).await?;
    let (mut pages, mut heaps) = (Vec::new(), Vec::new());
    for upto in [FIRST, CLIENTS] {
        while pages.len() < upto {
            pages.push(ResumingPage::connected(valgrind.server.websocket).await?);
        }
        heaps.push(settled(&valgrind, &mut php).await?);
    }
    Ok(vec![("an idle client of gateway.2, bytes", each(heaps[0], heaps[1], CLIENTS - FIRST))])
}

async fn through_tls() -> anyhow::Result<Vec<Figure>> {
    let certificate = TestCertificate::new()?;
    let valgrind =
        Valgrind::start("massif", &["--depth=1"], &certificate.flags().each_ref().map(String::as_str))
            .await?;
    let mut php = PhpPeer::connect(valgrind.server.register[0]).await?;
    let mut clients = Vec::new();
    let mut heaps = Vec::new();
    for upto in [FIRST, FIRST + TLS_CLIENTS] {
        while clients.len() < upto {
            clients.push(certificate.connect(valgrind.server.websocket).await?);
        }
        heaps.push(settled(&valgrind, &mut php).await?);
    }
    Ok(vec![("an idle client of TLS, bytes", each(heaps[0], heaps[1], TLS_CLIENTS))])
}

fn each(before: u64, after: u64, clients: usize) -> f64 {
    after.saturating_sub(before) as f64 / clients as f64
}

/// Gives the bytes of the heap once the server has nothing more to do.
async fn settled(valgrind: &Valgrind, php: &mut PhpPeer) -> anyhow::Result<u64> {
    let mut before = valgrind.heap()?;
    loop {
        php.count().await?;
        let now = valgrind.heap()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}
