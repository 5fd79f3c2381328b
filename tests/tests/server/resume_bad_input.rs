//! Pages that come back wrongly: with secrets that are not theirs, with counts that cannot be, with somebody else's token, twice at
//! once, or never; and what their messages may take of the server's memory.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use gateway_tests::{PhpPeer, ResumingPage, Server, eventually};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use gateway_wire::client_protocol::{GapReason, Opened, ResumeOffer, ResumeSecret};
use gateway_wire::token::{Claims, TokenKey};
use serde_bytes::Bytes;
use tokio::net::TcpStream;

use crate::resume::{metric, parked, start};

/// What a page becomes that comes with this offer and path.
async fn come_with(server: &Server, offer: Option<ResumeOffer>, path: &str) -> anyhow::Result<ResumingPage> {
    let mut page = ResumingPage::default();
    // It has lived before, as far as it says.
    let before = gateway_wire::client_protocol::Init {
        client_id: String::new(),
        proof: String::new(),
        resume: None,
        seen: 0,
        resumed: false,
        missed: 0,
        reason: None,
    };
    let _ = page.end.open(&before)?;
    let tcp = TcpStream::connect(server.websocket).await?;
    page.over_with(tcp, path, &[], offer).await?;
    Ok(page)
}

#[tokio::test]
async fn secrets_that_are_wrong_used_or_foreign_are_answered_with_a_reason_and_disturb_nobody()
-> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?;
    php.bind(id, "alice").await?;
    let first = page.end.offer().unwrap();
    page.reset()?;
    page.connect(server.websocket).await?;
    // The page shows that it has the new secret, which ends the old one.
    page.send("I have it").await?;
    php.send_to_uid("alice", "and hear").await?;
    php.acked().await?;
    assert_eq!(page.text().await?, "and hear");
    let good = page.end.offer().unwrap();
    let made_up = |client| ResumeSecret::new(client, [7; 16]);
    let elsewhere = ClientId::new("10.9.8.7:1238".parse()?, id.connection);
    for (secret, seen, reason) in [
        (first.secret, 0, GapReason::Unknown),
        (made_up(id), 1, GapReason::Unknown),
        (made_up(elsewhere), 1, GapReason::Moved),
        (good.secret, 2, GapReason::Unknown),
        (good.secret, u64::MAX >> 5, GapReason::Unknown),
    ] {
        let other = come_with(&server, Some(ResumeOffer { secret, seen }), "/").await?;
        assert_eq!(other.gap(), Some(reason), "{secret:?} {seen}");
        assert_ne!(other.id()?, id);
    }
    for path in ["/?resume=x&seen=1", "/?resume=&seen=", "/?resume=7f", "/?seen=1&resume=ü"] {
        let other = match come_with(&server, None, path).await {
            Ok(other) => other,
            // A URL must be ASCII, and this one never leaves the client.
            Err(_) if !path.is_ascii() => continue,
            Err(error) => return Err(error),
        };
        assert_eq!(other.gap(), Some(GapReason::Unknown), "{path}");
    }
    // Nobody was disturbed.
    php.send_to_uid("alice", "still there").await?;
    php.acked().await?;
    assert_eq!(page.text().await?, "still there");
    assert_eq!(php.clients_of("alice").await?, [id]);
    let query = format!("/?resume={}&seen=2", good.secret.to_text());
    let tcp = TcpStream::connect(server.websocket).await?;
    page.over_with(tcp, &query, &[], None).await?;
    assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 0 }));
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_started_again_says_so() -> anyhow::Result<()> {
    let (server, _php) = start(&["--node", "127.0.0.1:1238"]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    page.send("may be lost").await?;
    drop(server);
    let (server, _php) = start(&["--node", "127.0.0.1:1238"]).await?;
    page.connect(server.websocket).await?;
    let unconfirmed = vec!["may be lost".to_owned()];
    assert_eq!(page.outcome(), &Opened::Gap { reason: Some(GapReason::Restarted), unconfirmed });
    Ok(())
}

#[tokio::test]
async fn malformed_control_ends_the_client_with_a_code_and_a_reason() -> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    for control in
        ["gateway:seen", "gateway:seen 1x", "gateway:seen 01", "gateway:ping now", "gateway:seen 7"]
    {
        let mut page = ResumingPage::connected(server.websocket).await?;
        let id = page.id()?;
        page.say("gateway:of a newer version").await?;
        page.say(control).await?;
        assert_eq!(page.closed().await?, (1002, "malformed control message".to_owned()), "{control}");
        assert_eq!(php.ask(Query::IsOnline { client: id }).await?, AnswerValue::Bool(false), "{control}");
    }
    let mut page = ResumingPage::connected(server.websocket).await?;
    php.order(Order::SendToClient { client: page.id()?, message: Bytes::new(b"gateway:seen x"), raw: false })
        .await?;
    php.acked().await?;
    assert_eq!(page.text().await?, "gateway:seen x");
    page.say("gateway:seen 1").await?;
    page.say("gateway:seen 0").await?;
    assert_eq!(page.closed().await?.0, 1002, "a count that goes back");
    Ok(())
}

#[tokio::test]
async fn a_ping_is_answered_and_thousands_of_them_are_too() -> anyhow::Result<()> {
    let (server, _php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    for _ in 0..10_000 {
        page.say("gateway:ping").await?;
    }
    page.say("the last").await?;
    for _ in 0..100 {
        page.say("gateway:ping").await?;
        assert_eq!(page.message().await?.into_text()?, "gateway:pong");
    }
    Ok(())
}

fn token(key: &TokenKey, uid: &str, expires_in: i64, once: Option<&str>) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let claims = Claims {
        uid: uid.to_owned(),
        expires: (now + expires_in) as u64,
        once: once.map(str::to_owned),
        ..Claims::default()
    };
    Ok(key.mint(&claims)?)
}

#[tokio::test]
async fn a_secret_stands_for_the_token_and_no_token_of_somebody_else_stands_beside_it() -> anyhow::Result<()>
{
    const KEY: &str = "a key of thirty-two bytes or more";
    let server = Server::start_with(|command| {
        command.args(["--require-token", "true"]).env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let key = TokenKey::new(KEY.as_bytes());
    let with = |token: &str| format!("/?token={token}");
    let come = async |page: &mut ResumingPage, path: &str| {
        let tcp = TcpStream::connect(server.websocket).await?;
        page.over(tcp, path, &[]).await
    };
    let mut page = ResumingPage::default();
    come(&mut page, &with(&token(&key, "alice", 100, Some("once"))?)).await?;
    let id = page.id()?;
    // Without a token; with one that has expired; with one that was used; each keeps the client.
    let used = token(&key, "alice", 100, Some("once"))?;
    for path in ["/".to_owned(), with(&token(&key, "alice", -100, None)?), with(&used)] {
        php.send_to_uid("alice", "missed").await?;
        php.acked().await?;
        page.reset()?;
        come(&mut page, &path).await?;
        assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 1 }), "{path}");
        assert_eq!(page.text().await?, "missed");
    }
    // A token that nobody has signed is refused as always, and the client stays.
    page.reset()?;
    let forged = token(&TokenKey::new(b"another key of many bytes"), "alice", 100, None)?;
    assert!(come(&mut page, &with(&forged)).await.is_err());
    come(&mut page, "/").await?;
    assert_eq!(page.id()?, id);
    // Somebody else, who has a good token of his own, does not get what was alice's; and neither does alice any more.
    let secret = page.end.offer();
    page.reset()?;
    come(&mut page, &with(&token(&key, "mallory", 100, None)?)).await?;
    assert_eq!(page.gap(), Some(GapReason::Identity));
    assert_ne!(page.id()?, id);
    eventually("clients of alice", vec![], async || php.clients_of("alice").await).await?;
    let mut alice = ResumingPage::<TcpStream>::default();
    let tcp = TcpStream::connect(server.websocket).await?;
    alice.over_with(tcp, &with(&token(&key, "alice", 100, None)?), &[], secret).await?;
    assert_eq!(alice.init.as_ref().and_then(|init| init.reason), Some(GapReason::Identity));
    assert_eq!(php.clients_of("alice").await?, [alice.id()?]);
    // A secret that is not good needs the token.
    let mut nobody = ResumingPage::<TcpStream>::default();
    let tcp = TcpStream::connect(server.websocket).await?;
    assert!(nobody.over_with(tcp, "/", &[], secret).await.is_err());
    Ok(())
}

#[tokio::test]
async fn two_at_once_are_the_same_client_and_the_last_has_it() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2"]).await?;
    for _ in 0..20 {
        let mut page = ResumingPage::connected(server.websocket).await?;
        let id = page.id()?;
        php.bind(id, "alice").await?;
        php.send_to_uid("alice", "missed").await?;
        php.acked().await?;
        let offer = page.end.offer();
        page.reset()?;
        let tries = (0..8).map(|_| come_with(&server, offer, "/"));
        let pages: Vec<_> = join_all(tries).await.into_iter().flatten().collect();
        assert!(!pages.is_empty());
        assert!(pages.iter().all(|page| page.id().is_ok_and(|got| got == id) || page.gap().is_some()));
        assert_eq!(php.clients_of("alice").await?, [id]);
        php.order(Order::Destroy { client: id }).await?;
    }
    Ok(())
}

#[tokio::test]
async fn one_that_never_says_what_it_has_seen_costs_a_bounded_memory() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--resume-messages", "100"]).await?;
    let mut page = ResumingPage::<TcpStream>::default();
    page.tells = false;
    page.connect(server.websocket).await?;
    php.bind(page.id()?, "alice").await?;
    for round in 0..20 {
        for number in 0..100 {
            php.send_to_uid("alice", &format!("{round}.{number} {}", "x".repeat(1000))).await?;
        }
        php.acked().await?;
        for number in 0..100 {
            assert!(page.text().await?.starts_with(&format!("{round}.{number} ")));
        }
        let kept = metric(&server, "gateway_resume_bytes").await?;
        assert!((90_000.0..200_000.0).contains(&kept), "{kept}");
    }
    // The page itself knows how far it has come, so it comes back all the same.
    page.reset()?;
    page.connect(server.websocket).await?;
    assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 });
    eventually("bytes that are kept", 0.0, async || metric(&server, "gateway_resume_bytes").await).await?;
    // One that claims to be behind what is kept is told so.
    for number in 0..150 {
        php.send_to_uid("alice", &format!("{number}")).await?;
        php.acked().await?;
    }
    page.reset()?;
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Overflow));
    Ok(())
}

#[tokio::test]
async fn what_is_too_much_for_one_who_is_away_ends_its_parking_at_once() -> anyhow::Result<()> {
    let small = ["--resume-messages", "10", "--resume-bytes", "100000", "--outbox-bytes", "100000"];
    let (server, mut php) = start(&small).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?;
    php.bind(id, "alice").await?;
    php.acked().await?;
    page.reset()?;
    parked(&server, 1).await?;
    for number in 0..11 {
        assert!(!php.clients_of("alice").await?.is_empty(), "{number}");
        php.send_to_uid("alice", &format!("{number}")).await?;
        php.acked().await?;
    }
    eventually("clients of alice", vec![], async || php.clients_of("alice").await).await?;
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Overflow));
    // One message alone may be larger than all that is kept.
    let mut page = ResumingPage::connected(server.websocket).await?;
    php.bind(page.id()?, "bob").await?;
    php.acked().await?;
    page.reset()?;
    let large = "x".repeat(200_000);
    for _ in 0..2 {
        parked(&server, 1).await?;
        php.send_to_uid("bob", &large).await?;
        php.acked().await?;
    }
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Overflow), "but not two");
    Ok(())
}

#[tokio::test]
async fn when_all_together_is_too_much_the_unbound_and_longest_parked_go_first() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "1", "--resume-total-bytes", "4000000"]).await?;
    let mut pages = Vec::new();
    for number in 0..6 {
        let mut page = ResumingPage::connected(server.websocket).await?;
        if number % 2 == 1 {
            php.bind(page.id()?, &format!("uid {number}")).await?;
            php.acked().await?;
        }
        page.reset()?;
        parked(&server, number + 1).await?;
        pages.push(page);
    }
    // What all miss is kept once.
    for _ in 0..3 {
        php.send_to_all(&"x".repeat(1_000_000)).await?;
    }
    php.acked().await?;
    parked(&server, 6).await?;
    // Another million for each of two is too much for all.
    for number in [1, 3] {
        let client = pages[number].id()?;
        php.order(Order::SendToClient { client, message: Bytes::new(&[b'y'; 600_000]), raw: false }).await?;
        php.acked().await?;
    }
    eventually("kept bytes are within the bound", true, async || {
        Ok(metric(&server, "gateway_resume_bytes").await? <= 4_000_000.0)
    })
    .await?;
    let mut outcomes = Vec::new();
    for page in &mut pages {
        page.connect(server.websocket).await?;
        outcomes.push(page.gap());
    }
    assert!(
        outcomes[0] == Some(GapReason::Overflow) && outcomes[2].is_some() && outcomes[4].is_some(),
        "{outcomes:?}"
    );
    assert!(outcomes[5].is_none() || outcomes[1].is_some(), "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn bytes_that_nobody_can_count_end_the_way_back() -> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?;
    php.order(Order::SendToClient { client: id, message: Bytes::new(b"\x81\x03raw"), raw: true }).await?;
    php.acked().await?;
    assert_eq!(page.text().await?, "raw");
    page.reset()?;
    eventually("online", AnswerValue::Bool(false), async || php.ask(Query::IsOnline { client: id }).await)
        .await?;
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Raw));
    Ok(())
}

#[tokio::test]
async fn who_comes_back_needs_no_second_place_among_the_connections() -> anyhow::Result<()> {
    for limit in ["--max-connections", "--max-connections-per-address"] {
        let (server, mut php) = start(&[limit, "1"]).await?;
        let mut page = ResumingPage::connected(server.websocket).await?;
        let id = page.id()?;
        for _ in 0..3 {
            page.reset()?;
            parked(&server, 1).await?;
            page.connect(server.websocket).await?;
            assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 0 }));
            assert!(ResumingPage::connected(server.websocket).await.is_err(), "{limit}: the place is taken");
            let made_up = ResumeOffer { secret: ResumeSecret::new(id, [1; 16]), seen: 0 };
            assert!(
                come_with(&server, Some(made_up), "/").await.is_err(),
                "{limit}: by a made up secret too"
            );
        }
        page.close(1000).await?;
        // The place is free again once the connection is gone at the server.
        eventually("a new client", true, async || {
            Ok(ResumingPage::<TcpStream>::connected(server.websocket).await.is_ok())
        })
        .await?;
        let _ = php.count().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_shows_wrong_secrets_is_not_looked_at_and_others_are() -> anyhow::Result<()> {
    let (mut server, _php) = start(&["--trusted-proxies", "127.0.0.1"]).await?;
    let come = async |page: &mut ResumingPage, address: &str, offer: Option<ResumeOffer>| {
        let tcp = TcpStream::connect(server.websocket).await?;
        page.over_with(tcp, "/", &[("x-forwarded-for", address)], offer).await
    };
    let mut page = ResumingPage::default();
    come(&mut page, "192.0.2.1", None).await?;
    let id = page.id()?;
    let not_looked_at = "gateway_offences_total{kind=\"resume\"}";
    let mut guesses = 0;
    while metric(&server, not_looked_at).await? == 0.0 {
        let made_up = ResumeOffer { secret: ResumeSecret::new(id, [guesses as u8; 16]), seen: 0 };
        let mut guesser = ResumingPage::default();
        come(&mut guesser, "192.0.2.7", Some(made_up)).await?;
        assert_eq!(guesser.init.and_then(|init| init.reason), Some(GapReason::Unknown));
        guesses += 1;
        assert!(guesses < 1000, "each of {guesses} guesses was looked at");
    }
    assert!(guesses > 100, "after {guesses} guesses none is looked at");
    // The client whose secret was guessed is not disturbed, and neither is its address.
    let offer = page.end.offer();
    page.reset()?;
    come(&mut page, "192.0.2.1", offer).await?;
    assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 0 }));
    server.logs("did not look at the resume secret of a client: too many were wrong").await.map(drop)
}

#[tokio::test]
async fn a_token_is_that_of_the_client_whatever_php_has_bound_it_to() -> anyhow::Result<()> {
    const KEY: &str = "a key of thirty-two bytes or more";
    let server = Server::start_with(|command| {
        command.env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let key = TokenKey::new(KEY.as_bytes());
    let come = async |page: &mut ResumingPage, uid: Option<&str>| {
        let query = match uid {
            Some(uid) => format!("/?token={}", token(&key, uid, 100, None)?),
            None => "/".to_owned(),
        };
        page.over(TcpStream::connect(server.websocket).await?, &query, &[]).await
    };
    // PHP binds each client anew: to itself, to somebody else, to nobody and back; alice stays who she was by her token.
    for bound in [Some("alice"), Some("number 7"), None] {
        let mut page = ResumingPage::default();
        come(&mut page, Some("alice")).await?;
        let client = page.id()?;
        php.order(Order::UnbindUid { client }).await?;
        for uid in [Some("somebody"), bound].into_iter().flatten() {
            php.bind(client, uid).await?;
        }
        if bound.is_none() {
            php.order(Order::UnbindUid { client }).await?;
        }
        php.acked().await?;
        for _ in 0..2 {
            come(&mut page, Some("alice")).await?;
            assert_eq!((page.id()?, page.outcome()), (client, &Opened::Recovered { missed: 0 }), "{bound:?}");
        }
        come(&mut page, Some(bound.filter(|bound| *bound != "alice").unwrap_or("mallory"))).await?;
        assert_eq!(page.gap(), Some(GapReason::Identity), "{bound:?}");
    }
    // Who came without a token is who PHP has bound it to.
    let mut page = ResumingPage::default();
    come(&mut page, None).await?;
    let client = page.id()?;
    php.bind(client, "bob").await?;
    php.acked().await?;
    come(&mut page, Some("bob")).await?;
    assert_eq!((page.id()?, page.outcome()), (client, &Opened::Recovered { missed: 0 }));
    come(&mut page, Some("alice")).await?;
    assert_eq!(page.gap(), Some(GapReason::Identity));
    Ok(())
}

#[tokio::test]
async fn who_was_closed_while_away_gets_the_close_beside_a_token_too() -> anyhow::Result<()> {
    const KEY: &str = "a key of thirty-two bytes or more";
    let server = Server::start_with(|command| {
        command.args(["--operations", "127.0.0.1:0"]).env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let key = TokenKey::new(KEY.as_bytes());
    for rebound in [false, true] {
        let mut page = ResumingPage::default();
        let path = format!("/?token={}", token(&key, "alice", 100, None)?);
        page.over(TcpStream::connect(server.websocket).await?, &path, &[]).await?;
        let client = page.id()?;
        if rebound {
            php.bind(client, "number 7").await?;
        }
        page.reset()?;
        parked(&server, 1).await?;
        php.order(Order::Close { client, last: Some(Bytes::new(b"that was all")) }).await?;
        php.acked().await?;
        page.over(TcpStream::connect(server.websocket).await?, &path, &[]).await?;
        assert_eq!((page.id()?, page.outcome()), (client, &Opened::Recovered { missed: 1 }), "{rebound}");
        assert_eq!(page.text().await?, "that was all");
        assert_eq!(page.closed().await?.0, 1000);
    }
    Ok(())
}
