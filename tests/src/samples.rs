//! Sample bytes of PHP and of GatewayWorker's programs, from which fuzzers start.

use std::net::{Ipv4Addr, SocketAddrV4};

use gateway_wire::ClientId;
use gateway_wire::bridge::{Call, Names, Order, Query, Request};
use gateway_wire::gatewayworker::{Command, EventCommand, EventPacket, Origin, Packet, flag};
use serde_bytes::Bytes;

/// Calls of PHP as frames, all about one client.
pub fn requests(client: ClientId) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = Bytes::new(b"\xff\x00 any bytes");
    let names: Names = [text, Bytes::new(b"7")].into_iter().collect();
    let calls = vec![
        Call::Order(Order::SendToAll { message: text, only: None, except: vec![client], raw: false }),
        Call::Order(Order::SendToAll { message: text, only: Some(vec![client]), except: vec![], raw: true }),
        Call::Order(Order::SendToUids { uids: names.clone(), message: text, raw: false }),
        Call::Order(Order::SendToGroups { groups: names.clone(), message: text, except: vec![], raw: true }),
        Call::Order(Order::Send {
            message: text,
            only: None,
            uids: Some(vec![text]),
            groups: None,
            except: vec![client],
            except_groups: vec![text],
            raw: false,
            kind: 2,
        }),
        Call::Order(Order::CloseUids { uids: names.clone(), last: Some(text) }),
        Call::Order(Order::Close { client, last: Some(text) }),
        Call::Order(Order::BindUid { client, uid: text }),
        Call::Order(Order::UpdateSession { client, changes: text }),
        Call::Query(Query::IsOnline { client }),
        Call::Query(Query::AreUidsOnline { uids: vec![text, text] }),
        Call::Query(Query::Sessions { groups: Some(vec![text]) }),
        Call::Query(Query::Groups {}),
        Call::Query(Query::ClientInfo { client }),
    ];
    let encode = |(seq, call)| {
        let mut bytes = Vec::new();
        Request { seq, call }.encode(&mut bytes)?;
        Ok(bytes)
    };
    (1..).zip(calls).map(encode).collect()
}

/// Packets of GatewayWorker's programs, all about one client.
pub fn packets(connection: u32) -> anyhow::Result<Vec<Vec<u8>>> {
    let commands = vec![
        Command::WorkerConnect { worker_key: "w:0".to_owned(), secret_key: "s".to_owned() },
        Command::ClientConnect { secret_key: String::new() },
        Command::Ping,
        Command::SendToOne { connection, message: b"hello", raw: false },
        Command::SendToAll { message: b"hello", only: Some(vec![1, 2]), except: vec![], raw: true },
        Command::SendToAll { message: b"hello", only: None, except: vec![3], raw: false },
        Command::SendToUids { uids: vec!["a".to_owned(), "7".to_owned()], message: b"hello", raw: false },
        Command::SendToGroups { groups: vec!["g".to_owned()], message: b"x", except: vec![9], raw: false },
        Command::Kick { connection, last: Some(b"bye") },
        Command::BindUid { connection, uid: b"alice" },
        Command::SetSession { connection, session: b"a:0:{}" },
        Command::GetSessions,
        Command::GetGroups,
    ];
    let mut packets = Vec::new();
    for command in commands {
        let mut bytes = Vec::new();
        command.encode(&mut bytes)?;
        packets.push(bytes);
    }
    let select = br#"{"fields":["session","uid","groups"],"where":{"groups":["g"],"connection_id":{"1":1}}}"#;
    // The command 25 is SELECT.
    let select = Packet { extension: select, flags: flag::SCALAR, ..Packet::new(25) };
    let mut bytes = Vec::new();
    select.encode(&mut bytes)?;
    packets.push(bytes);
    let node = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1238);
    let origin = Origin {
        node,
        connection,
        client: SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 50_000),
        gateway_port: 8282,
    };
    let mut bytes = Vec::new();
    let event = EventPacket { kind: EventCommand::Message, origin, session: b"a:0:{}", body: b"hi" };
    event.encode(&mut bytes)?;
    packets.push(bytes);
    Ok(packets)
}
