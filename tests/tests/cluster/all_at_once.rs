//! A thousand pages that come back at once at another node, since the way to their own node is cut and the node lives.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::{PATIENCE, PhpPeer, ResumingPage, Rng, eventually};
use gateway_wire::bridge::AnswerValue;
use gateway_wire::client_protocol::Opened;
use tokio::task::JoinSet;

use super::operated_nodes::OperatedNodes;

/// The number of pages. `MOVING_PAGES` asks for another one.
fn pages() -> usize {
    std::env::var("MOVING_PAGES").ok().and_then(|number| number.parse().ok()).unwrap_or(1000)
}

/// Messages to all pages while they are away, and as many while they come back.
const PUSHED: usize = 10;

fn uid(number: usize) -> String {
    format!("uid {number}")
}

/// Comes back as a page does: when it is asked to try again, it does so after a random pause, which grows.
/// Gives the number of attempts.
async fn come_back(
    page: &mut ResumingPage,
    websocket: std::net::SocketAddr,
    rng: &mut Rng,
) -> anyhow::Result<usize> {
    let (start, mut most) = (Instant::now(), 100);
    for attempt in 1.. {
        match page.connect(websocket).await {
            Ok(()) => return Ok(attempt),
            Err(error) => anyhow::ensure!(start.elapsed() < PATIENCE, "{error} after {attempt} attempts"),
        }
        tokio::time::sleep(Duration::from_millis(rng.below(most) as u64)).await;
        most = (2 * most).min(2000);
    }
    unreachable!("the loop above ends by returning")
}

async fn push(php: &mut PhpPeer, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    for number in numbers {
        php.send_to_all(&number.to_string()).await?;
        php.acked().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pages_that_come_back_at_once_at_another_node_have_missed_nothing() -> anyhow::Result<()> {
    const TEST: &str = "a_thousand_pages_that_come_back_at_once_at_another_node_have_missed_nothing";
    let Some(nodes) = OperatedNodes::start(TEST, 3, &[]).await? else { return Ok(()) };
    let websockets: Vec<_> = nodes.nodes.iter().map(|node| node.server.websocket).collect();
    let mut php = nodes.php(2).await?;
    let mut all = Vec::new();
    for number in 0..pages() {
        let page = ResumingPage::connected(websockets[0]).await?;
        php.bind(page.id()?, &uid(number)).await?;
        all.push(page);
    }
    php.acked().await?;
    all.iter_mut().try_for_each(ResumingPage::reset)?;
    let count = all.len() as f64;
    eventually("all are away", count, async || nodes.metric(0, "gateway_parked_clients").await).await?;
    push(&mut php, 0..PUSHED).await?;

    let start = Instant::now();
    let mut coming = JoinSet::new();
    for (number, mut page) in all.into_iter().enumerate() {
        let websocket = websockets[1];
        coming.spawn(async move {
            let attempts = come_back(&mut page, websocket, &mut Rng::new(number as u64)).await?;
            let outcome = page.outcome();
            anyhow::ensure!(matches!(outcome, Opened::Recovered { .. }), "page {number}: {outcome:?}");
            anyhow::Ok((number, page, attempts, start.elapsed()))
        });
    }
    let pushing = tokio::spawn(async move {
        push(&mut php, PUSHED..2 * PUSHED).await?;
        anyhow::Ok(php)
    });
    let (mut back, mut attempts, mut times) = (Vec::new(), 0, Vec::new());
    while let Some(one) = coming.join_next().await {
        let (number, page, tried, after) = one??;
        back.push((number, page));
        attempts += tried;
        times.push(after);
    }
    times.sort_unstable();
    let (half, last) = (times[times.len() / 2], times.last().context("a page")?);
    println!(
        "{} pages are back: half of them after {half:?}, all after {last:?}, in {attempts} attempts",
        back.len()
    );

    let mut php = pushing.await??;
    for (_, page) in &mut back {
        for number in 0..2 * PUSHED {
            assert_eq!(page.text().await?, number.to_string());
        }
    }
    assert_eq!(php.count().await?, AnswerValue::Int(back.len() as i64));
    // Each is bound at its new node, and only there.
    for (number, _) in &back {
        php.send_to_uid(&uid(*number), "afterwards").await?;
    }
    php.acked().await?;
    for (_, page) in &mut back {
        assert_eq!(page.text().await?, "afterwards");
    }
    assert_eq!(nodes.metric(0, "gateway_parked_clients").await?, 0.0);
    Ok(())
}
