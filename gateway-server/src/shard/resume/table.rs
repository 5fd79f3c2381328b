//! The records of the clients that count messages, by the keys of their connections.

use gateway_wire::client_protocol::ServerEnd;

use crate::config::Listener;

/// What is kept about one client: its positions, and the indexes of the frames that it may not have seen.
pub(in crate::shard) type ClientRecord = ServerEnd<u32>;

/// Whether more is kept for a client that it has not seen than its listener allows. One message alone may take more.
pub(super) fn is_too_much(record: &ClientRecord, listener: &Listener) -> bool {
    record.has_several()
        && (record.kept() > listener.resume_messages as u64 || record.weight() > listener.unseen_bytes())
}

/// The number of records of one page.
const PAGE: usize = 64;

/// Records in pages, each of which is there while one of its keys has a record. So a client costs its record of 32 bytes, and a
/// shard without such clients nothing.
#[derive(Default)]
pub(super) struct RecordTable(Vec<Option<Box<Page>>>);

struct Page {
    records: [Option<ClientRecord>; PAGE],
    used: usize,
}

impl RecordTable {
    pub(super) fn insert(&mut self, key: usize, record: ClientRecord) {
        let page = key / PAGE;
        if page >= self.0.len() {
            self.0.resize_with(page + 1, || None);
        }
        let page =
            self.0[page].get_or_insert_with(|| Box::new(Page { records: [const { None }; PAGE], used: 0 }));
        page.used += usize::from(page.records[key % PAGE].is_none());
        page.records[key % PAGE] = Some(record);
    }

    /// Whether any record was ever here.
    pub(super) fn has_pages(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn get(&self, key: usize) -> Option<&ClientRecord> {
        self.0.get(key / PAGE)?.as_ref()?.records[key % PAGE].as_ref()
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut ClientRecord> {
        self.0.get_mut(key / PAGE)?.as_mut()?.records[key % PAGE].as_mut()
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<ClientRecord> {
        let page = self.0.get_mut(key / PAGE)?;
        let inside = page.as_mut()?;
        let record = inside.records[key % PAGE].take()?;
        inside.used -= 1;
        if inside.used == 0 {
            *page = None;
        }
        Some(record)
    }

    /// All records with their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &ClientRecord)> {
        let pages = self.0.iter().enumerate().filter_map(|(number, page)| Some((number, page.as_ref()?)));
        pages.flat_map(|(number, page)| {
            let records = page.records.iter().enumerate();
            records.filter_map(move |(at, record)| Some((number * PAGE + at, record.as_ref()?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_record_takes_32_bytes_and_pages_go_with_their_last() {
        assert!(size_of::<Page>() <= 32 * PAGE + 8);
        let mut table = RecordTable::default();
        let keys = [0, 63, 64, 1000];
        for key in keys {
            table.insert(key, ClientRecord::new(NonZeroU32::new(key as u32 + 1).unwrap()));
        }
        assert_eq!(table.iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
        assert_eq!(table.get(1000).unwrap().latest_secret().get(), 1001);
        assert!(table.get(1).is_none() && table.get(200).is_none() && table.get_mut(100_000).is_none());
        for key in keys {
            assert!(table.remove(key).is_some() && table.remove(key).is_none());
        }
        assert!(table.0.iter().all(Option::is_none));
    }
}
