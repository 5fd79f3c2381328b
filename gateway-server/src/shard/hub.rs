//! The shards as one: scatters orders to those that need them, gathers their answers.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::Settings;
use super::command::{Audience, Command, Except, Question};
use super::inbox::{Outside, Stopped};
use super::index::Index;
use super::numbers::Numbers;
use super::run;

/// A uid or group on its way: a slice of the bytes it came in.
pub type Name = Bytes;

pub struct Hub {
    shards: Box<[Outside]>,
    numbers: Numbers,
    uids: Arc<Index>,
    groups: Arc<Index>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Hub {
    /// Starts the threads. `key` seeds the connection numbers.
    pub fn start(shards: usize, key: [u8; 16], settings: &Settings) -> io::Result<Self> {
        let (uids, groups) = (Arc::new(Index::new()), Arc::new(Index::new()));
        let mut outsides = Vec::with_capacity(shards);
        let mut threads = Vec::with_capacity(shards);
        for shard in 0..shards as u16 {
            let (outside, thread) =
                run::start(shard, settings.clone(), Arc::clone(&uids), Arc::clone(&groups))?;
            outsides.push(outside);
            threads.push(thread);
        }
        Ok(Self {
            shards: outsides.into(),
            numbers: Numbers::new(key, shards),
            uids,
            groups,
            threads: Mutex::new(threads),
        })
    }

    /// Hands an established connection to its shard.
    pub async fn adopt(&self, socket: TcpStream) -> Result<(), Stopped> {
        let (number, shard) = self.numbers.issue();
        self.shards[shard].send(Command::Adopt { socket, number }).await
    }

    pub async fn send_to_all(&self, frame: Bytes, except: Vec<u32>) -> Result<(), Stopped> {
        let except = Except::new(except);
        for shard in &self.shards {
            let to = Audience::All { except: except.clone() };
            shard.send(Command::Deliver { to, frame: frame.clone() }).await?;
        }
        Ok(())
    }

    pub async fn send_to_connections(&self, frame: Bytes, numbers: &[u32]) -> Result<(), Stopped> {
        let parts = self.scatter(numbers.iter().map(|number| (self.numbers.shard_of(*number), *number)));
        for (shard, numbers) in parts {
            let to = Audience::Connections(numbers);
            self.shards[shard].send(Command::Deliver { to, frame: frame.clone() }).await?;
        }
        Ok(())
    }

    pub async fn send_to_uids(&self, frame: Bytes, uids: &[Name]) -> Result<(), Stopped> {
        for (shard, uids) in self.scatter(held(&self.uids, uids)) {
            let to = Audience::Uids(uids);
            self.shards[shard].send(Command::Deliver { to, frame: frame.clone() }).await?;
        }
        Ok(())
    }

    pub async fn send_to_groups(
        &self,
        frame: Bytes,
        groups: &[Name],
        except: Vec<u32>,
    ) -> Result<(), Stopped> {
        let except = Except::new(except);
        for (shard, groups) in self.scatter(held(&self.groups, groups)) {
            let to = Audience::Groups { groups, except: except.clone() };
            self.shards[shard].send(Command::Deliver { to, frame: frame.clone() }).await?;
        }
        Ok(())
    }

    pub async fn close(&self, number: u32, last: Option<Bytes>) -> Result<(), Stopped> {
        self.to(number, Command::Close { number, last }).await
    }

    pub async fn bind(&self, number: u32, uid: Name) -> Result<(), Stopped> {
        self.uids.add(&uid, self.numbers.shard_of(number) as u16);
        self.to(number, Command::Bind { number, uid }).await
    }

    pub async fn unbind(&self, number: u32) -> Result<(), Stopped> {
        self.to(number, Command::Unbind { number }).await
    }

    pub async fn join(&self, number: u32, group: Name) -> Result<(), Stopped> {
        self.groups.add(&group, self.numbers.shard_of(number) as u16);
        self.to(number, Command::Join { number, group }).await
    }

    pub async fn leave(&self, number: u32, group: Name) -> Result<(), Stopped> {
        self.to(number, Command::Leave { number, group }).await
    }

    pub async fn is_online(&self, number: u32) -> Result<bool, Stopped> {
        let shards = std::iter::once(self.numbers.shard_of(number));
        Ok(self.gather(shards, |back| Question::IsOnline(number, back)).await?.contains(&true))
    }

    pub async fn is_uid_online(&self, uid: &Name) -> Result<bool, Stopped> {
        let ask = |back| Question::IsUidOnline(uid.clone(), back);
        Ok(self.gather(self.uids.shards(uid).into_iter().map(usize::from), ask).await?.contains(&true))
    }

    pub async fn connections_of_uid(&self, uid: &Name) -> Result<Vec<u32>, Stopped> {
        let ask = |back| Question::ConnectionsOfUid(uid.clone(), back);
        Ok(self.gather(self.uids.shards(uid).into_iter().map(usize::from), ask).await?.concat())
    }

    pub async fn uid_of(&self, number: u32) -> Result<Option<Bytes>, Stopped> {
        let shards = std::iter::once(self.numbers.shard_of(number));
        Ok(self.gather(shards, |back| Question::UidOf(number, back)).await?.into_iter().flatten().next())
    }

    pub async fn count(&self) -> Result<usize, Stopped> {
        Ok(self.gather(0..self.shards.len(), Question::Count).await?.into_iter().sum())
    }

    /// Tells every shard to close its clients and end.
    pub async fn stop(&self, patience: Duration) {
        for shard in &self.shards {
            // One that has ended already is as it should be.
            let _ = shard.send(Command::Stop { patience }).await;
        }
    }

    /// Blocks until all shards have ended.
    pub fn join_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a shard panicked");
            }
        }
    }

    async fn to(&self, number: u32, command: Command) -> Result<(), Stopped> {
        self.shards[self.numbers.shard_of(number)].send(command).await
    }

    /// Sorts items by the shard that they belong to, their order kept.
    fn scatter<A: smallvec::Array>(
        &self,
        items: impl Iterator<Item = (usize, A::Item)>,
    ) -> SmallVec<[(usize, SmallVec<A>); 2]> {
        let mut parts: SmallVec<[(usize, SmallVec<A>); 2]> = SmallVec::new();
        for (shard, item) in items {
            match parts.iter_mut().find(|(other, _)| *other == shard) {
                Some((_, part)) => part.push(item),
                None => parts.push((shard, SmallVec::from_iter([item]))),
            }
        }
        parts
    }

    /// Asks some shards at once and collects their answers.
    async fn gather<T>(
        &self,
        shards: impl Iterator<Item = usize>,
        question: impl Fn(oneshot::Sender<T>) -> Question,
    ) -> Result<Vec<T>, Stopped> {
        let mut answers = SmallVec::<[_; 8]>::new();
        for shard in shards {
            let (back, answer) = oneshot::channel();
            self.shards[shard].send(Command::Ask(question(back))).await?;
            answers.push(answer);
        }
        let mut gathered = Vec::with_capacity(answers.len());
        for answer in answers {
            gathered.push(answer.await.map_err(|_| Stopped)?);
        }
        Ok(gathered)
    }
}

/// Every name with each shard that holds it.
fn held(index: &Index, names: &[Name]) -> impl Iterator<Item = (usize, Name)> {
    names
        .iter()
        .flat_map(|name| index.shards(name).into_iter().map(|shard| (usize::from(shard), name.clone())))
}
