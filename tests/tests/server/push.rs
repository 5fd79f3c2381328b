//! PHP's messages reach the clients that they are meant for, and nobody else.

use futures_util::future::try_join_all;
use gateway_tests::{Client, PhpPeer, Server};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;

fn text(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

#[tokio::test]
async fn a_uid_is_reached_on_all_its_connections_and_no_other() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "3"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut alice = [Client::connect(server.websocket).await?, Client::connect(server.websocket).await?];
    let mut bob = Client::connect(server.websocket).await?;
    for tab in &alice {
        php.bind(tab.id, "alice").await?;
    }
    php.bind(bob.id, "bob").await?;
    for number in 0..100 {
        php.send_to_uid("alice", &format!("to alice {number}")).await?;
    }
    php.send_to_all("to all").await?;
    php.acked().await?;
    for tab in &mut alice {
        for number in 0..100 {
            assert_eq!(tab.text().await?, format!("to alice {number}"));
        }
        assert_eq!(tab.text().await?, "to all");
    }
    assert_eq!(bob.text().await?, "to all");
    Ok(())
}

#[tokio::test]
async fn every_kind_of_audience() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(server.websocket).await?);
    }
    let ids: Vec<ClientId> = clients.iter().map(|client| client.id).collect();
    for id in &ids[..3] {
        php.order(Order::JoinGroup { client: *id, group: text("red") }).await?;
    }
    for id in &ids[2..] {
        php.order(Order::JoinGroup { client: *id, group: text("blue") }).await?;
    }
    php.bind(ids[0], "zero").await?;
    php.bind(ids[3], "three").await?;

    let raw = false;
    let groups = |groups: &[&'static str], except: &[ClientId], message| Order::SendToGroups {
        groups: groups.iter().map(|group| text(group)).collect(),
        except: except.to_vec(),
        message: text(message),
        raw,
    };
    let all = |only: Option<&[ClientId]>, except: &[ClientId], message| Order::SendToAll {
        only: only.map(<[_]>::to_vec),
        except: except.to_vec(),
        message: text(message),
        raw,
    };
    php.order(groups(&["red"], &[], "a")).await?;
    php.order(groups(&["red"], &[ids[0]], "b")).await?;
    php.order(groups(&["red", "blue"], &[], "c")).await?;
    php.order(groups(&["nobody"], &[], "lost")).await?;
    php.order(all(None, &[ids[1], ids[3]], "d")).await?;
    // A client gets a message once, however often it is listed.
    php.order(all(Some(&[ids[1], ids[2], ids[1]]), &[ids[2], ids[2]], "e")).await?;
    php.order(all(Some(&[ids[3], ids[3]]), &[], "i")).await?;
    php.order(all(Some(&[]), &[], "lost")).await?;
    php.order(Order::SendToClient { client: ids[2], message: text("f"), raw }).await?;
    let uids = [text("zero"), text("three"), text("nobody")].into_iter().collect();
    php.order(Order::SendToUids { uids, message: text("g"), raw }).await?;
    php.order(Order::LeaveGroup { client: ids[0], group: text("red") }).await?;
    php.order(groups(&["red"], &[], "h")).await?;
    php.order(Order::UnbindUid { client: ids[0] }).await?;
    php.send_to_uid("zero", "lost").await?;
    php.send_to_all(".").await?;

    for (client, expected) in clients.iter_mut().zip(["acdg.", "abceh.", "abccdfh.", "cig."]) {
        let mut received = String::new();
        while !received.ends_with('.') {
            received.push_str(&client.text().await?);
        }
        assert_eq!(received, expected);
    }
    Ok(())
}

#[tokio::test]
async fn binding_again_moves_and_closing_forgets() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let tab = Client::connect(server.websocket).await?;
    php.bind(tab.id, "alice").await?;
    php.bind(tab.id, "bob").await?;
    assert_eq!(php.clients_of("alice").await?, []);
    assert_eq!(php.clients_of("bob").await?, [tab.id]);
    assert_eq!(php.ask(Query::UidOfClient { client: tab.id }).await?, AnswerValue::Str(b"bob".to_vec()));
    assert_eq!(php.ask(Query::IsOnline { client: tab.id }).await?, AnswerValue::Bool(true));
    assert_eq!(php.count().await?, AnswerValue::Int(1));

    let id = tab.id;
    tab.leave().await?;
    assert_eq!(php.clients_of("bob").await?, []);
    assert_eq!(php.ask(Query::IsUidOnline { uid: text("bob") }).await?, AnswerValue::Bool(false));
    assert_eq!(php.ask(Query::UidOfClient { client: id }).await?, AnswerValue::Null);
    assert_eq!(php.ask(Query::IsOnline { client: id }).await?, AnswerValue::Bool(false));
    assert_eq!(php.count().await?, AnswerValue::Int(0));
    Ok(())
}

#[tokio::test]
async fn clients_that_are_gone_or_of_another_node_are_ignored() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let gone = ClientId::new(tab.id.node, tab.id.connection ^ 1);
    let elsewhere = ClientId::new("10.1.2.3:2900".parse()?, tab.id.connection);
    for client in [gone, elsewhere] {
        php.bind(client, "ghost").await?;
        php.order(Order::JoinGroup { client, group: text("ghosts") }).await?;
        php.order(Order::SendToClient { client, message: text("lost"), raw: false }).await?;
        php.order(Order::Close { client, last: Some(text("lost")) }).await?;
        assert_eq!(php.ask(Query::IsOnline { client }).await?, AnswerValue::Bool(false));
    }
    assert_eq!(php.ask(Query::IsUidOnline { uid: text("ghost") }).await?, AnswerValue::Bool(false));
    php.send_to_all("only this").await?;
    assert_eq!(tab.text().await?, "only this");
    Ok(())
}

#[tokio::test]
async fn a_closed_client_gets_what_was_queued_and_the_last_message() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    php.bind(tab.id, "alice").await?;
    php.send_to_uid("alice", "queued").await?;
    php.order(Order::Close { client: tab.id, last: Some(text("bye")) }).await?;
    php.send_to_uid("alice", "too late").await?;
    assert_eq!(php.count().await?, AnswerValue::Int(0));
    assert_eq!(tab.text().await?, "queued");
    assert_eq!(tab.text().await?, "bye");
    assert_eq!(tab.closed().await?.0, 1000);
    tab.gone().await
}

#[tokio::test]
async fn raw_bytes_and_binary_messages() -> anyhow::Result<()> {
    let server = Server::start(&["--message-type", "binary"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let any = Bytes::new(b"\xff\x00\x80");
    php.order(Order::SendToClient { client: tab.id, message: any, raw: false }).await?;
    let framed = Bytes::new(b"\x81\x03raw");
    php.order(Order::SendToClient { client: tab.id, message: framed, raw: true }).await?;
    assert_eq!(tab.message().await?, Message::binary(any.to_vec()));
    assert_eq!(tab.text().await?, "raw");
    Ok(())
}

#[tokio::test]
async fn messages_of_every_size_arrive_whole() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let sizes = [0, 1, 125, 126, 65_535, 65_536, 900_000];
    for size in sizes {
        php.order(Order::SendToClient { client: tab.id, message: text(&"x".repeat(size)), raw: false })
            .await?;
        assert_eq!(tab.text().await?.len(), size);
    }
    Ok(())
}

#[tokio::test]
async fn a_crowd_gets_everything_in_order_however_it_is_sent() -> anyhow::Result<()> {
    const CROWD: usize = 100;
    for by_io_uring in ["true", "false"] {
        // The timeouts are long because some clients read nothing before the end, which comes late on a busy machine.
        let patient = ["--outbox-timeout", "600", "--ping-interval", "0"];
        let server =
            Server::start(&[&["--shards", "1", "--io-uring", by_io_uring][..], &patient].concat()).await?;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        // The small buffers make the sockets take messages in parts.
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            crowd.push(Client::over(socket.connect(server.websocket).await?).await?);
        }
        for tab in crowd.iter().step_by(3) {
            php.bind(tab.id, "every third").await?;
        }
        let message = |number: usize| format!("{number} {}", "x".repeat(number * 617 % 9_000));
        // All clients read at once: one after the other would take so long on a busy machine that the kernel, which waits
        // longer before each new attempt, would hardly try again to reach the late ones.
        let gets = async |tab: &mut Client, index: usize, number: usize| {
            assert_eq!(tab.text().await?, message(number));
            if number.is_multiple_of(7) && index.is_multiple_of(3) {
                assert_eq!(tab.text().await?, message(number + 1_000));
            }
            anyhow::Ok(())
        };
        let (late, prompt) = crowd.split_at_mut(10);
        for number in 0..40 {
            php.send_to_all(&message(number)).await?;
            if number % 7 == 0 {
                php.send_to_uid("every third", &message(number + 1_000)).await?;
            }
            let first = late.len();
            let read = prompt.iter_mut().enumerate().map(|(index, tab)| gets(tab, first + index, number));
            try_join_all(read).await?;
        }
        let read = late.iter_mut().enumerate().map(async |(index, tab)| {
            for number in 0..40 {
                gets(tab, index, number).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(read).await?;
    }
    Ok(())
}

#[tokio::test]
async fn client_ids_are_random_and_lead_to_the_register_port() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut numbers = Vec::new();
    for _ in 0..20 {
        let tab = Client::connect(server.websocket).await?;
        assert_eq!(std::net::SocketAddr::V4(tab.id.node), server.register[0]);
        numbers.push(tab.id.connection);
    }
    let steps: Vec<_> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(
        steps.iter().all(|step| *step != steps[0] || steps.iter().filter(|s| *s == step).count() == 1),
        "{numbers:?}"
    );
    Ok(())
}
