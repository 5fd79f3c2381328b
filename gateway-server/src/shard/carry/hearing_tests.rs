//! Clients that were taken over and are not in the poll yet: they are served all the same, and heard with the turns.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::super::command::Command;
use super::super::connection::Phase;
use super::super::testing::{TestShard, arrived, settings, stalled};
use super::hearing::IN_A_TURN;
use super::tests::{Heard, come_back, got, masked, resumable, text, to_all, until};
use super::unpolled::AGAIN;
use crate::protocol::{Encoding, close, websocket};

/// Runs a turn for a push to all, after which each of the clients has it.
fn all_get(shard: &mut TestShard, clients: &mut [TcpStream], message: &str) {
    shard.shard.obey_alone(to_all(message));
    shard.turn();
    for client in clients {
        assert!(String::from_utf8_lossy(&arrived(client)).contains(message));
    }
}

#[test]
fn what_is_for_them_goes_out_at_once_and_what_they_have_sent_is_heard_within_a_few_turns() {
    const CLIENTS: u32 = 2 * IN_A_TURN as u32 + 10;
    let heard = Heard::default();
    let mut shard = TestShard::telling(settings(), heard.sink());
    let mut clients: Vec<_> = (1..=CLIENTS).map(|id| shard.client(id, Encoding::Websocket)).collect();
    let (batches, _) = shard.written();
    for client in &mut clients {
        client.write_all(&text("sent meanwhile")).unwrap();
    }
    // One has gone, before it was in the poll.
    drop(clients.remove(0));
    let mut new = TestShard::telling(settings(), heard.sink());
    new.restore(batches).unwrap();
    shard.shard.let_go();
    assert!(new.is_busy());
    all_get(&mut new, &mut clients, "at once");
    assert!(new.is_busy());
    let mut all = Vec::new();
    until(&mut new, "what all have sent", |_| {
        all.extend(heard.take());
        all.len() > CLIENTS as usize
    });
    all.sort();
    let expected = (1..=CLIENTS).map(|id| (id, "1 sent meanwhile".to_owned()));
    let mut expected: Vec<_> = expected.chain([(1, "closed".to_owned())]).collect();
    expected.sort();
    assert_eq!(all, expected);
    assert!(!new.is_busy());
}

#[test]
fn one_that_takes_no_more_before_it_is_in_the_poll_gets_the_rest_later() {
    let mut shard = TestShard::new(settings());
    let mut first = stalled(&mut shard, 1);
    let _others: Vec<_> =
        (2..IN_A_TURN as u32 + 10).map(|id| shard.client(id, Encoding::Websocket)).collect();
    // The client reads all that has come, so that it has nothing in its outbox, and room for a part of what comes.
    let key = shard.shard.clients.key(1).unwrap();
    until(&mut shard, "an empty outbox", |shard| {
        arrived(&mut first);
        !shard.shard.clients.connections[key].has_outbox()
    });
    arrived(&mut first);
    let mut new = shard.carried(settings(), Heard::default().sink());
    let key = new.shard.clients.key(1).unwrap();
    let mut sent = 0;
    while !new.shard.clients.connections[key].has_outbox() {
        new.shard.send(key, vec![b'x'; 64 << 10].into());
        new.shard.write_turn();
        sent += 64 << 10;
    }
    assert!(new.shard.clients.slow.contains(&(key as u32)));
    assert_eq!(got(&mut new, &mut first, sent).len(), sent);
    assert!(new.shard.clients.slow.is_empty());
}

#[test]
fn one_that_comes_back_or_is_closed_before_it_is_in_the_poll_leaves_no_trace() {
    let heard = Heard::default();
    let mut shard = TestShard::telling(settings(), heard.sink());
    let (mut old, init) = resumable(&mut shard, 1);
    let mut closed = shard.client(2, Encoding::Websocket);
    let mut others: Vec<_> =
        (3..IN_A_TURN as u32 + 10).map(|id| shard.client(id, Encoding::Websocket)).collect();
    let mut new = shard.carried(settings(), heard.sink());
    new.shard.obey_alone(Command::Destroy { connection_id: 2 });
    // The connection of this client goes on under another key until its end has been agreed on, and the client is parked.
    let key = new.shard.clients.key(1).unwrap();
    new.shard.close(key, close::COME_BACK, Phase::Closing);
    new.shard.write_turn();
    until(&mut new, "the close of the old connection", |_| arrived(&mut old).contains(&0x88));
    old.write_all(&masked(&websocket::close(close::COME_BACK))).unwrap();
    until(&mut new, "its end", |_| old.read(&mut [0; 64]).is_ok_and(|length| length == 0));
    let (mut back, all) = come_back(&mut new, 1, &init, 0);
    assert!(all.contains(r#""resumed":true"#), "{all}");
    until(&mut new, "the end of the closed one", |_| {
        closed.read(&mut [0; 64]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    });
    back.write_all(&text("again")).unwrap();
    let mut all = Vec::new();
    until(&mut new, "a message", |_| {
        all.extend(heard.take());
        all.contains(&(1, "1 again".to_owned()))
    });
    all_get(&mut new, &mut others, "to all");
    assert!(!new.is_busy());
}

#[test]
fn a_poll_that_takes_no_more_is_asked_again() {
    let heard = Heard::default();
    let mut shard = TestShard::telling(settings(), heard.sink());
    let mut client = shard.client(1, Encoding::Websocket);
    let mut new = shard.carried(settings(), heard.sink());
    client.write_all(&text("not heard yet")).unwrap();
    // A regular file cannot be put into the poll.
    let key = new.shard.clients.key(1).unwrap();
    let file = TcpStream::from(OwnedFd::from(File::open("/proc/self/exe").unwrap()));
    let socket = new.shard.clients.connections[key].socket.replace(mio::net::TcpStream::from_std(file));
    new.turn();
    // It does not try all the time.
    assert!(!new.is_busy() && new.shard.unpolled.deadline().is_some());
    assert!(new.shard.patience().is_some_and(|patience| patience <= AGAIN + Duration::from_millis(1)));
    new.turn();
    assert!(heard.take().is_empty());
    new.shard.clients.connections[key].socket = socket;
    until(&mut new, "the message", |_| !heard.is_empty());
    assert_eq!(heard.take(), [(1, "1 not heard yet".to_owned())]);
    assert!(!new.is_busy() && new.shard.unpolled.deadline().is_none());
}
