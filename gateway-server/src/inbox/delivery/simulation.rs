//! Servers, stores and pages that go at any moment, by random steps: each device handles each message once and in order, but for the
//! one case that the documents name. The servers are one, or several nodes that share a store, whose news come late.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::output::Content;
use super::{Binding, Delivery};
use crate::inbox::bounds::{Bounds, DEFAULT_TTL};
use crate::inbox::memory_store::MemoryStore;
use crate::inbox::model::{Device, Millis, NewDevice, NewMessage};
use crate::inbox::numbers::Numbers;
use crate::inbox::store::{News, Operation, Outcome, Store as _};

const UIDS: [&str; 2] = ["anna", "ben"];
const DEVICES: [&str; 3] = ["", "phone", "laptop"];
const STEPS: usize = 3000;
const SEEDS: u64 = 100;

/// A message as a page has it.
#[derive(Clone, Copy)]
struct Received {
    is_new: bool,
    epoch: u64,
    seq: u64,
}

/// A page, or another client that acknowledges nothing.
struct Tab {
    node: usize,
    connection: u32,
    owner: Owner,
    is_page: bool,
    /// The last position that the connection was sent, and its epoch.
    sent: (u64, u64),
    down: VecDeque<Received>,
    up: VecDeque<(u64, u64)>,
    queue: VecDeque<Received>,
    /// The greatest position that was queued, of the newest epoch.
    queued: (u64, u64),
    /// What the handlers have done and the note of the device does not say yet.
    handled: Option<Received>,
    /// The last position that was handled, of each epoch.
    last: HashMap<u64, u64>,
}

/// A device of a uid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Owner {
    uid: usize,
    device: usize,
}

/// The test's own knowledge of a device.
#[derive(Default)]
struct Known {
    /// The note that all pages of the device share: the greatest position that was handled, of each epoch.
    note: HashMap<u64, u64>,
    handled: HashSet<(u64, u64)>,
    first_handled: HashMap<u64, u64>,
    /// The messages that it must handle.
    expected: HashSet<(u64, u64)>,
    has_arrived: bool,
    /// What pages have handled that have gone before they noted it.
    unnoted: HashSet<(u64, u64)>,
}

/// A server.
#[derive(Default)]
struct Node {
    delivery: Delivery,
    /// What PHP has asked for and the store has not done.
    asked: Vec<Operation>,
    /// The number of news that the node has heard.
    heard: usize,
}

struct World {
    numbers: Numbers,
    store: MemoryStore,
    /// One server, or the nodes that share the store.
    nodes: Vec<Node>,
    /// What the store has to tell all nodes, if it is shared.
    news: Vec<News>,
    tabs: Vec<Tab>,
    known: HashMap<Owner, Known>,
    now: Millis,
    connections: u32,
    messages: u64,
    /// The number of messages that pages have handled again.
    repeated: usize,
}

impl Owner {
    fn binding(self, connection: u32, is_page: bool) -> Binding {
        let device = match DEVICES[self.device] {
            "" => Device::Shared,
            name => Device::Invented(name.into()),
        };
        Binding { connection, uid: Bytes::from_static(UIDS[self.uid].as_bytes()), device, is_page }
    }
}

impl World {
    fn new(seed: u64, nodes: usize) -> Self {
        let bounds = Bounds { messages: 1 << 20, bytes: 1 << 40, ..Bounds::default() };
        Self {
            numbers: Numbers(seed),
            store: if nodes == 1 { MemoryStore::new(bounds) } else { MemoryStore::of_stream(bounds) },
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            news: Vec::new(),
            tabs: Vec::new(),
            known: HashMap::new(),
            now: 1_000_000,
            connections: 0,
            messages: 0,
            repeated: 0,
        }
    }

    fn is_shared(&self) -> bool {
        self.nodes.len() > 1
    }

    fn any_node(&mut self) -> usize {
        self.numbers.below(self.nodes.len() as u64) as usize
    }

    fn open(&mut self, owner: Owner) {
        let node = self.any_node();
        self.connections += 1;
        // Clients without a name of their device acknowledge by what the kernel takes.
        let is_page = owner.device > 0;
        let tab = Tab {
            node,
            connection: self.connections,
            owner,
            is_page,
            sent: (0, 0),
            down: VecDeque::new(),
            up: VecDeque::new(),
            queue: VecDeque::new(),
            queued: (0, 0),
            handled: None,
            last: HashMap::new(),
        };
        self.nodes[node].delivery.bound(owner.binding(tab.connection, is_page));
        self.tabs.push(tab);
    }

    /// Ends a connection. What a kernel has is what the client gets.
    fn leave(&mut self, at: usize) {
        let Tab { node, connection, is_page, down, .. } = &mut self.tabs[at];
        let has_taken_all = !*is_page && down.is_empty();
        down.clear();
        self.nodes[*node].delivery.left(*connection, has_taken_all, self.now);
        self.tabs[at].up.clear();
    }

    fn kill(&mut self, at: usize) {
        self.leave(at);
        let tab = self.tabs.swap_remove(at);
        let known = self.known.entry(tab.owner).or_default();
        known.unnoted.extend(tab.handled.map(|message| (message.epoch, message.seq)));
    }

    /// A page comes back as another client, maybe at another node.
    fn reconnect(&mut self, at: usize) {
        let node = self.any_node();
        self.connections += 1;
        let tab = &mut self.tabs[at];
        (tab.node, tab.connection, tab.sent) = (node, self.connections, (0, 0));
        self.nodes[node].delivery.bound(tab.owner.binding(tab.connection, tab.is_page));
    }

    /// Another process serves from here on, with the same store.
    fn replace_server(&mut self, keeps_connections: bool) {
        let node = self.any_node();
        // What a server has not told PHP of is asked for again.
        self.nodes[node].delivery = Delivery::default();
        self.nodes[node].heard = self.news.len();
        for at in 0..self.tabs.len() {
            if self.tabs[at].node != node {
                continue;
            }
            if keeps_connections {
                let tab = &mut self.tabs[at];
                tab.sent = (0, 0);
                self.nodes[node].delivery.bound(tab.owner.binding(tab.connection, tab.is_page));
            } else {
                let tab = &mut self.tabs[at];
                (tab.down, tab.up) = (VecDeque::new(), VecDeque::new());
                self.reconnect(at);
            }
        }
    }

    fn deliver(&mut self) {
        self.messages += 1;
        let uid = UIDS[self.numbers.below(UIDS.len() as u64) as usize];
        let node = self.any_node();
        self.nodes[node].asked.push(Operation::Deliver(NewMessage {
            uid: Bytes::from_static(uid.as_bytes()),
            id: format!("m{}", self.messages).into(),
            payload: Bytes::from(vec![b'x'; self.numbers.below(9000) as usize]),
            is_binary: false,
            ttl: DEFAULT_TTL,
            replace: None,
            new_device: NewDevice::Unacknowledged,
            producer: None,
        }));
    }

    /// The thread of the store does a group at some node, which hears some of the news.
    fn turn(&mut self, fails: bool) {
        let (node, news) = (self.any_node(), self.numbers.below(4) as usize);
        self.turn_of(node, fails, news);
    }

    /// The thread of the store does a group at a node, which hears so many of the news.
    fn turn_of(&mut self, node: usize, fails: bool, news: usize) {
        let of_delivery = self.nodes[node].delivery.take_operations();
        let group = std::mem::take(&mut self.nodes[node].asked);
        if fails {
            self.nodes[node].delivery.failed();
            self.nodes[node].asked = group;
            return;
        }
        let operations = [of_delivery.clone(), group.clone()].concat();
        let mut outcomes = self.store.apply(self.now, &operations).unwrap().into_iter();
        self.nodes[node].delivery.committed(outcomes.by_ref().take(of_delivery.len()).collect());
        for operation in &of_delivery {
            if let Operation::Arrive { uid, device } = operation {
                let uid = UIDS.iter().position(|known| known.as_bytes() == &**uid).unwrap();
                let device = DEVICES.iter().position(|name| *name == device.as_row().1).unwrap();
                self.known.entry(Owner { uid, device }).or_default().has_arrived = true;
            }
        }
        for (operation, outcome) in group.iter().zip(outcomes) {
            match (operation, outcome) {
                (Operation::Deliver(message), Outcome::Stored { epoch, seq, .. }) => {
                    for (owner, known) in &mut self.known {
                        if UIDS[owner.uid].as_bytes() == &*message.uid && known.has_arrived {
                            known.expected.insert((epoch, seq));
                        }
                    }
                    if self.is_shared() {
                        self.news.push(News::Stored { message: Box::new(message.clone()), seq });
                    } else {
                        self.nodes[node].delivery.stored(message, epoch, seq, self.now);
                    }
                }
                (Operation::Forget { uid }, _) => {
                    for (owner, known) in &mut self.known {
                        if UIDS[owner.uid].as_bytes() == &**uid {
                            known.expected.clear();
                            known.has_arrived = false;
                        }
                    }
                    if self.is_shared() {
                        if let Some(inbox) = self.store.inbox_of(self.now, uid).unwrap() {
                            let (uid, epoch, seq) = (uid.clone(), inbox.epoch, self.store.last_position());
                            self.news.push(News::Forgotten { uid, epoch, seq });
                        }
                    } else {
                        self.nodes[node].delivery.forgotten(uid);
                    }
                }
                _ => {}
            }
        }
        self.hear(node, news);
        while let Some((connection, wanted)) = self.nodes[node].delivery.next_page() {
            if self.numbers.below(20) == 0 {
                self.nodes[node].delivery.page_failed(connection);
                break;
            }
            let mut page = self.store.waiting(self.now, &wanted).unwrap();
            if self.is_shared() {
                page.epoch = self.store.inbox_of(self.now, &wanted.uid).unwrap().map(|inbox| inbox.epoch);
            }
            self.nodes[node].delivery.page(connection, page, self.now);
        }
        for sending in self.nodes[node].delivery.take_sendings() {
            let Content::Message { is_new, epoch, seq, .. } = sending.content else { continue };
            for tab in self.tabs.iter_mut().filter(|tab| sending.connections.contains(&tab.connection)) {
                assert_eq!(tab.is_page, sending.is_for_pages);
                // Nothing goes twice or in another order over one connection.
                assert!(tab.sent.0 != epoch || tab.sent.1 < seq, "{seq} goes after {:?}", tab.sent);
                tab.sent = (epoch, seq);
                tab.down.push_back(Received { is_new, epoch, seq });
            }
        }
    }

    /// A node hears so many news at most.
    fn hear(&mut self, node: usize, count: usize) {
        let Node { delivery, heard, .. } = &mut self.nodes[node];
        for news in self.news.iter().skip(*heard).take(count) {
            delivery.hear(news.clone(), self.now);
            *heard += 1;
        }
    }

    /// A client takes the next message from its connection.
    fn receive(&mut self, at: usize) {
        let tab = &mut self.tabs[at];
        let Some(message) = tab.down.pop_front() else { return };
        if !tab.is_page {
            self.handle(at, message);
            return;
        }
        if tab.queued.0 != message.epoch {
            tab.queued = (message.epoch, 0);
        }
        if message.seq > tab.queued.1 {
            tab.queued.1 = message.seq;
            tab.queue.push_back(message);
        } else {
            // A double counts as handled once what was queued before it is, which the page says again.
            let done = tab.last.get(&message.epoch).copied().unwrap_or(0);
            tab.up.push_back((message.epoch, done.min(message.seq)));
        }
    }

    /// The handlers of a page take a message, unless the device has handled it.
    fn work(&mut self, at: usize) {
        let tab = &mut self.tabs[at];
        if let Some(done) = tab.handled.take() {
            let note = self.known.entry(tab.owner).or_default().note.entry(done.epoch).or_default();
            *note = done.seq.max(*note);
            tab.up.push_back((done.epoch, done.seq));
            return;
        }
        let Some(message) = tab.queue.pop_front() else { return };
        let note = self.known.entry(tab.owner).or_default().note.get(&message.epoch).copied();
        if !message.is_new && note.is_some_and(|note| note >= message.seq) {
            tab.last.insert(message.epoch, message.seq);
            tab.up.push_back((message.epoch, message.seq));
            return;
        }
        tab.handled = Some(message);
        self.handle(at, message);
    }

    fn handle(&mut self, at: usize, message: Received) {
        let Received { is_new, epoch, seq } = message;
        let owner = self.tabs[at].owner;
        let others = self.tabs.iter().enumerate().filter(|(other, tab)| *other != at && tab.owner == owner);
        let others: Vec<_> = others.map(|(_, tab)| tab.handled).collect();
        let tab = &mut self.tabs[at];
        let is_page = tab.is_page;
        if is_page {
            let last = tab.last.insert(epoch, seq).unwrap_or(0);
            assert!(last < seq, "{owner:?} handles {seq} after {last}");
        }
        let known = self.known.entry(owner).or_default();
        let first = known.first_handled.entry(epoch).or_default();
        if known.handled.insert((epoch, seq)) {
            assert!(*first < seq, "{owner:?} handles {seq} first after {first}");
            *first = seq;
        } else if is_page && !is_new {
            // That is the case that the documents name: the page that has handled the message has not noted that.
            let is_excused = known.unnoted.contains(&(epoch, seq))
                || others
                    .iter()
                    .any(|other| other.is_some_and(|other| (other.epoch, other.seq) == (epoch, seq)));
            assert!(is_excused, "{owner:?} handles {seq} again");
            self.repeated += 1;
        }
    }

    /// An acknowledgement comes to the server. It must be true.
    fn acknowledge(&mut self, at: usize) {
        let tab = &mut self.tabs[at];
        let Some((epoch, seq)) = tab.up.pop_front() else { return };
        let known = &self.known[&tab.owner];
        for (_, expected) in known.expected.iter().filter(|(own, expected)| *own == epoch && *expected <= seq)
        {
            assert!(
                known.handled.contains(&(epoch, *expected)),
                "{:?} has not handled {expected}",
                tab.owner
            );
        }
        self.nodes[tab.node].delivery.got(tab.connection, epoch, seq, self.now);
    }

    /// The kernels take what clients without acknowledgements were sent.
    fn take(&mut self) {
        for node in 0..self.nodes.len() {
            for connection in self.nodes[node].delivery.untaken() {
                if let Some(at) = self.tabs.iter().position(|tab| tab.connection == connection) {
                    while !self.tabs[at].down.is_empty() {
                        self.receive(at);
                    }
                    self.nodes[node].delivery.taken(connection, self.now);
                }
            }
        }
    }

    fn tick(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.delivery.tick(self.now));
    }

    fn step(&mut self) {
        self.now += self.numbers.below(5);
        let owner = Owner {
            uid: self.numbers.below(UIDS.len() as u64) as usize,
            device: self.numbers.below(DEVICES.len() as u64) as usize,
        };
        let tab = self.numbers.below(self.tabs.len().max(1) as u64) as usize;
        let has_tab = !self.tabs.is_empty();
        match self.numbers.below(1000) {
            0..200 => self.deliver(),
            200..225 if self.tabs.len() < 8 => self.open(owner),
            225..235 if has_tab => self.kill(tab),
            235..245 if has_tab => {
                self.leave(tab);
                self.reconnect(tab);
            }
            245..247 => self.replace_server(self.messages.is_multiple_of(2)),
            247..249 => {
                let node = self.any_node();
                self.nodes[node].asked.push(Operation::Forget { uid: owner.binding(0, true).uid });
            }
            249..255 => {
                self.now += 20_000;
                self.tick();
            }
            255..300 => self.tick(),
            300..330 => self.turn(true),
            330..500 => self.turn(false),
            500..560 => self.take(),
            560..700 if has_tab => self.receive(tab),
            700..850 if has_tab => self.work(tab),
            850.. if has_tab => self.acknowledge(tab),
            _ => {}
        }
    }

    /// Lets everything come to its end.
    fn settle(&mut self) {
        let owners: Vec<Owner> = self.known.keys().copied().collect();
        for owner in owners {
            self.open(owner);
        }
        for _ in 0..20_000 {
            (0..self.nodes.len()).for_each(|node| self.turn_of(node, false, usize::MAX));
            self.take();
            for at in 0..self.tabs.len() {
                self.receive(at);
                self.work(at);
                self.acknowledge(at);
            }
            self.now += 10;
            self.tick();
            let is_idle = |tab: &Tab| {
                tab.down.is_empty() && tab.queue.is_empty() && tab.up.is_empty() && tab.handled.is_none()
            };
            let is_done = |node: &Node| {
                !node.delivery.is_waited_for()
                    && !node.delivery.has_operations()
                    && !node.delivery.needs_ticks()
                    && node.heard == self.news.len()
            };
            if self.tabs.iter().all(is_idle) && self.nodes.iter().all(is_done) {
                return;
            }
        }
        panic!("it does not come to an end");
    }
}

fn each_device_handles_each_message_once(nodes: usize) {
    let (mut handled, mut repeated) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed, nodes);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
        for (owner, known) in &world.known {
            let missed: Vec<_> = known.expected.difference(&known.handled).collect();
            assert!(missed.is_empty(), "{owner:?} of seed {seed} has missed {missed:?}");
            handled += known.handled.len();
        }
        repeated += world.repeated;
        for uid in UIDS {
            let inbox = world.store.inbox_of(world.now, uid.as_bytes()).unwrap();
            let waiting: u64 =
                inbox.iter().flat_map(|inbox| &inbox.devices).map(|device| device.waiting).sum();
            assert_eq!(waiting, 0, "{uid} of seed {seed}");
        }
    }
    assert!(handled as u64 > 500 * SEEDS && repeated > 0, "{handled}, {repeated} again");
}

#[test]
fn each_device_handles_each_message_once_and_in_order() {
    each_device_handles_each_message_once(1);
}

#[test]
fn so_it_does_at_several_nodes_that_hear_of_each_other_late() {
    each_device_handles_each_message_once(3);
}

#[test]
fn who_comes_while_others_read_follows_them() {
    let mut world = World::new(0, 1);
    let owner = Owner { uid: 0, device: 1 };
    world.open(owner);
    world.turn(false);
    world.kill(0);
    (0..100).for_each(|_| world.deliver());
    world.turn(false);
    world.open(owner);
    world.open(owner);
    world.turn(false);
    let waiting = |world: &World| world.tabs.iter().map(|tab| tab.down.len()).collect::<Vec<_>>();
    let before = waiting(&world);
    assert!(before[0] > 0 && before[1] == 0, "{before:?}");
    // The first does nothing for a while, so the second reads.
    world.now += 20_000;
    world.tick();
    world.turn(false);
    assert_eq!(waiting(&world)[1], before[0]);
}

#[test]
fn who_has_come_gets_everything_that_is_new_also_if_another_is_quicker() {
    let mut world = World::new(0, 1);
    let owner = Owner { uid: 0, device: 1 };
    let deliver = |world: &mut World| {
        let uid = Bytes::from_static(UIDS[0].as_bytes());
        world.nodes[0].asked.push(Operation::Deliver(NewMessage { uid, ..message(world.messages) }));
        world.messages += 1;
        world.turn(false);
    };
    world.open(owner);
    world.turn(false);
    deliver(&mut world);
    // The second comes while the first has not acknowledged everything, so it follows.
    world.open(owner);
    world.turn(false);
    deliver(&mut world);
    deliver(&mut world);
    assert_eq!(world.tabs.iter().map(|tab| tab.down.len()).collect::<Vec<_>>(), [3, 0]);
    for _ in 0..3 {
        world.receive(0);
        world.work(0);
        world.work(0);
    }
    // All of the first one's acknowledgements come at once.
    (0..3).for_each(|_| world.acknowledge(0));
    // A page that cannot be read is read later.
    for _ in 0..5 {
        world.turn(false);
        world.tick();
    }
    let new: Vec<_> = world.tabs[1].down.iter().map(|message| (message.seq, message.is_new)).collect();
    assert_eq!(new, [(2, true), (3, true)]);
    world.settle();
    let inbox = world.store.inbox_of(world.now, UIDS[0].as_bytes()).unwrap().unwrap();
    assert_eq!(inbox.devices[0].waiting, 0);
}

#[test]
fn who_comes_when_nothing_is_left_to_acknowledge_gets_what_is_new_at_once() {
    let mut world = World::new(0, 1);
    let deliver = |world: &mut World| {
        let uid = Bytes::from_static(UIDS[0].as_bytes());
        world.nodes[0].asked.push(Operation::Deliver(NewMessage { uid, ..message(world.messages) }));
        world.messages += 1;
        world.turn(false);
    };
    world.open(Owner { uid: 0, device: 1 });
    world.turn(false);
    deliver(&mut world);
    world.receive(0);
    world.work(0);
    world.work(0);
    world.acknowledge(0);
    world.turn(false);
    // For a new device nothing waits, as another one has it.
    for _ in 0..2 {
        world.open(Owner { uid: 0, device: 2 });
        for _ in 0..5 {
            world.turn(false);
            world.tick();
        }
    }
    deliver(&mut world);
    assert_eq!(world.tabs.iter().map(|tab| tab.down.len()).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn what_one_node_has_had_forgotten_begins_anew_at_another() {
    let mut world = World::new(0, 2);
    let uid = || Bytes::from_static(UIDS[0].as_bytes());
    while world.tabs.last().is_none_or(|tab| tab.node != 1) {
        world.open(Owner { uid: 0, device: 1 });
    }
    let at = world.tabs.len() - 1;
    let turn = |world: &mut World, operation: Operation| {
        world.nodes[0].asked.push(operation);
        for node in [0, 1, 1, 1] {
            world.turn_of(node, false, usize::MAX);
            world.tick();
        }
        world.store.inbox_of(world.now, uid().as_ref()).unwrap().unwrap().epoch
    };
    let before = turn(&mut world, Operation::Deliver(NewMessage { uid: uid(), ..message(1) }));
    assert_eq!(world.tabs[at].sent.0, before);
    let after = turn(&mut world, Operation::Forget { uid: uid() });
    assert_ne!(before, after);
    turn(&mut world, Operation::Deliver(NewMessage { uid: uid(), ..message(2) }));
    assert_eq!(world.tabs[at].sent.0, after);
}

fn message(number: u64) -> NewMessage {
    NewMessage {
        uid: Bytes::new(),
        id: format!("m{number}").into(),
        payload: Bytes::from_static(b"x"),
        is_binary: false,
        ttl: DEFAULT_TTL,
        replace: None,
        new_device: NewDevice::Unacknowledged,
        producer: None,
    }
}
