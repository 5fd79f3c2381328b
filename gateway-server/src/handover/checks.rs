//! What is checked before a descriptor moves, each with a sentence that says what to do.

use std::collections::BTreeMap;

use super::message::{ListeningSocket, Offer};

/// The descriptors that a server needs besides those of its clients.
const OTHER_DESCRIPTORS: u64 = 200;
/// The bytes that a new server takes before it has any client, and those of the batches under way.
const OTHER_MEMORY: u64 = 64 << 20;

/// Why a hand-over does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    #[error(
        "this server is process 1 of its container, which ends with it: replace the container, and clients come back to \
         the next one"
    )]
    FirstProcess,
    #[error("a hand-over is under way already")]
    UnderWay,
    #[error("this process only carries TLS for the clients that it had: ask the server that has taken over")]
    Relay,
    #[error(
        "{needed} descriptors are needed for {clients} clients, of which {tls_clients} speak TLS and take two, and \
         {OTHER_DESCRIPTORS} besides; the limit of open files is {limit}: raise it (LimitNOFILE= in systemd) and restart"
    )]
    Descriptors { clients: u64, tls_clients: u64, needed: u64, limit: u64 },
    #[error(
        "about {needed} bytes of memory are needed for a second server with the records of all clients, and {available} are \
         available"
    )]
    Memory { needed: u64, available: u64 },
    #[error("{0}")]
    Settings(DifferentSettings),
}

/// The settings that differ and may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} may not change in a hand-over: restart the server instead", .0.join("; "))]
pub struct DifferentSettings(Vec<String>);

/// The settings of the new server that have to be those of the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The number of shards, if that is set.
    pub shards: Option<u32>,
    /// The address in client_ids, if that is set.
    pub node: Option<String>,
    /// The name of the cluster, if the server is to be a node of one.
    pub cluster: Option<String>,
    pub listeners: Vec<ListeningSocket>,
}

/// Checks that this process may hand over at all.
pub fn process(pid: u32, is_relay: bool, is_under_way: bool) -> Result<(), Hindrance> {
    // A relay is what a hand-over has left behind, and never begins one, whatever its number is.
    if is_relay {
        return Err(Hindrance::Relay);
    }
    if pid == 1 {
        return Err(Hindrance::FirstProcess);
    }
    if is_under_way {
        return Err(Hindrance::UnderWay);
    }
    Ok(())
}

/// Checks that the limit of open files has room for all clients. One that speaks TLS takes two: its socket, and one end of the pair
/// to the new server.
pub fn descriptors(clients: u64, tls_clients: u64, limit: u64) -> Result<(), Hindrance> {
    let needed = clients.saturating_add(tls_clients).saturating_add(OTHER_DESCRIPTORS);
    if needed > limit {
        return Err(Hindrance::Descriptors { clients, tls_clients, needed, limit });
    }
    Ok(())
}

/// Checks that there is memory for a second server with records of these bytes in all. `None` is a machine that does not say what is
/// available.
pub fn memory(records: u64, available: Option<u64>) -> Result<(), Hindrance> {
    // A record takes somewhat more while it is restored than it is charged with.
    let needed = records.saturating_add(records / 4).saturating_add(OTHER_MEMORY);
    match available {
        Some(available) if available < needed => Err(Hindrance::Memory { needed, available }),
        _ => Ok(()),
    }
}

/// Checks the settings of the new server, and gives the number of shards, which follows the old one's where it is not set.
pub fn settings(offer: &Offer, wanted: &Wanted) -> Result<u32, Hindrance> {
    let mut different = Vec::new();
    let mut compare = |name: &str, old: &str, new: &str| {
        if old != new {
            different.push(format!("{name} is {old} in the running server and {new} in its settings"));
        }
    };
    let shards = wanted.shards.unwrap_or(offer.shards);
    compare("shards", &offer.shards.to_string(), &shards.to_string());
    compare("node", &offer.node, wanted.node.as_ref().unwrap_or(&offer.node));
    let none = || "none".to_owned();
    let cluster = offer.cluster.as_ref().map(|cluster| cluster.name.clone());
    compare("cluster_name", &cluster.unwrap_or_else(none), wanted.cluster.as_ref().unwrap_or(&none()));
    let (old, new) = (by_setting(&offer.listeners), by_setting(&wanted.listeners));
    for name in ["listener", "register", "register_unix", "operations"] {
        let text = |of: &BTreeMap<&str, Vec<String>>| {
            of.get(name).map_or_else(|| "none".to_owned(), |addresses| addresses.join(", "))
        };
        compare(name, &text(&old), &text(&new));
    }
    if different.is_empty() { Ok(shards) } else { Err(Hindrance::Settings(DifferentSettings(different))) }
}

/// The addresses by the settings that name them, in the order of the settings.
fn by_setting(listeners: &[ListeningSocket]) -> BTreeMap<&str, Vec<String>> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for listener in listeners {
        found.entry(listener.port.setting()).or_default().push(listener.to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::message::Port;
    use super::*;

    fn listening(port: Port, address: &str) -> ListeningSocket {
        ListeningSocket { port, address: address.to_owned() }
    }

    fn listeners() -> Vec<ListeningSocket> {
        vec![
            listening(Port::Clients("websocket".to_owned()), "0.0.0.0:8282"),
            listening(Port::Clients("text".to_owned()), "0.0.0.0:8284"),
            listening(Port::Register, "127.0.0.1:1238"),
        ]
    }

    fn offer() -> Offer {
        Offer {
            server: String::new(),
            state: 1,
            shards: 4,
            node: "10.0.0.1:1238".to_owned(),
            cluster: None,
            listeners: listeners(),
            clients: 0,
            tls_clients: 0,
            bytes: 0,
        }
    }

    fn wanted() -> Wanted {
        Wanted { shards: None, node: None, cluster: None, listeners: listeners() }
    }

    #[test]
    fn descriptors_are_enough_or_the_sentence_says_how_many_are_needed() {
        assert_eq!(descriptors(18_000, 0, 18_200), Ok(()));
        assert_eq!(
            descriptors(30_000, 12_000, 40_000).unwrap_err().to_string(),
            "42200 descriptors are needed for 30000 clients, of which 12000 speak TLS and take two, and 200 besides; the limit of \
             open files is 40000: raise it (LimitNOFILE= in systemd) and restart"
        );
        assert!(descriptors(18_000, 0, 18_199).is_err() && descriptors(u64::MAX, 1, u64::MAX - 1).is_err());
    }

    #[test]
    fn memory_is_enough_or_not() {
        let needed = (100 << 20) + (25 << 20) + OTHER_MEMORY;
        assert_eq!(memory(100 << 20, Some(needed)), Ok(()));
        let error = Hindrance::Memory { needed, available: needed - 1 };
        assert_eq!(memory(100 << 20, Some(needed - 1)), Err(error));
        assert!(memory(u64::MAX, None).is_ok() && memory(u64::MAX, Some(u64::MAX - 1)).is_err());
    }

    #[test]
    fn a_process_may_hand_over_or_not() {
        assert_eq!(process(2, false, false), Ok(()));
        assert_eq!(process(1, false, false), Err(Hindrance::FirstProcess));
        assert_eq!(process(2, false, true), Err(Hindrance::UnderWay));
        assert_eq!(process(1, true, true), Err(Hindrance::Relay));
    }

    #[test]
    fn settings_that_are_unset_follow_the_running_server() {
        assert_eq!(settings(&offer(), &wanted()), Ok(4));
        let set = Wanted { shards: Some(4), node: Some("10.0.0.1:1238".to_owned()), ..wanted() };
        assert_eq!(settings(&offer(), &set), Ok(4));
    }

    #[test]
    fn every_setting_that_differs_is_named() {
        let mut new = wanted();
        new.shards = Some(2);
        new.node = Some("10.0.0.2:1238".to_owned());
        new.cluster = Some("other".to_owned());
        new.listeners[1] = listening(Port::Clients("frame".to_owned()), "0.0.0.0:8284");
        new.listeners[2].address = "0.0.0.0:1238".to_owned();
        new.listeners.push(listening(Port::RegisterUnix, "/run/gateway"));
        new.listeners.push(listening(Port::Operations, "127.0.0.1:8283"));
        assert_eq!(
            settings(&offer(), &new).unwrap_err().to_string(),
            "shards is 4 in the running server and 2 in its settings; \
             node is 10.0.0.1:1238 in the running server and 10.0.0.2:1238 in its settings; \
             cluster_name is none in the running server and other in its settings; \
             listener is websocket://0.0.0.0:8282, text://0.0.0.0:8284 in the running server and websocket://0.0.0.0:8282, \
             frame://0.0.0.0:8284 in its settings; \
             register is 127.0.0.1:1238 in the running server and 0.0.0.0:1238 in its settings; \
             register_unix is none in the running server and /run/gateway in its settings; \
             operations is none in the running server and 127.0.0.1:8283 in its settings \
             may not change in a hand-over: restart the server instead"
        );
    }
}
