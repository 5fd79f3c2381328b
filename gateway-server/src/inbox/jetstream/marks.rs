//! When a device had come how far, or what it has read: a bounded number of times.

use serde::{Deserialize, Serialize};

use crate::inbox::model::Millis;

/// The marks of one sort that a device has at most.
const MARKS: usize = 32;

/// Positions with times, both rising.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks(Vec<(u64, Millis)>);

impl Marks {
    /// Notes that the device has come up to here. Of too many marks, the one goes that is nearest in time to those around it:
    /// its messages pass for a little later than they were.
    pub(super) fn come(&mut self, seq: u64, now: Millis) {
        if self.0.last().is_some_and(|(last, _)| *last >= seq) {
            return;
        }
        let now = self.0.last().map_or(now, |(_, at)| now.max(*at));
        self.0.push((seq, now));
        if self.0.len() > MARKS {
            let gaps = self.0.windows(3).map(|around| around[2].1 - around[0].1);
            if let Some((before, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) {
                self.0.remove(before + 1);
            }
        }
    }

    /// Notes one message. Of too many, the first is forgotten.
    pub(super) fn note(&mut self, seq: u64, now: Millis) {
        if let Err(at) = self.0.binary_search_by_key(&seq, |(known, _)| *known) {
            self.0.insert(at, (seq, now));
            if self.0.len() > MARKS {
                self.0.remove(0);
            }
        }
    }

    /// Gives when the device had come up to this position.
    pub(super) fn reached(&self, seq: u64) -> Option<Millis> {
        let at = self.0.partition_point(|(known, _)| *known < seq);
        self.0.get(at).map(|(_, at)| *at)
    }

    /// Gives when this message was noted.
    pub(super) fn at(&self, seq: u64) -> Option<Millis> {
        let at = self.0.binary_search_by_key(&seq, |(known, _)| *known).ok()?;
        self.0.get(at).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::numbers::Numbers;

    #[test]
    fn too_many_marks_make_times_coarser_and_never_wrong_in_order() {
        let mut numbers = Numbers(7);
        let (mut marks, mut exact) = (Marks::default(), Vec::new());
        let mut now = 1_000_000;
        for seq in 1..=1000 {
            now += numbers.below(1000) * numbers.below(60);
            marks.come(seq, now);
            exact.push((seq, now));
        }
        assert_eq!(marks.0.len(), MARKS);
        let mut before = 0;
        for (seq, at) in &exact {
            let found = marks.reached(*seq).unwrap();
            assert!(found >= before && found >= *at, "{seq}");
            before = found;
        }
        // Each of the marks stands for about a thirtieth of the time.
        let errors = exact.iter().map(|(seq, at)| marks.reached(*seq).unwrap() - at);
        assert!(errors.max().unwrap() < (now - 1_000_000) / 8);
        assert_eq!(marks.reached(1001), None);
        marks.come(5, now + 1);
        assert_eq!(marks.reached(1000), Some(now));
    }

    #[test]
    fn single_messages_are_noted_once() {
        let mut marks = Marks::default();
        (1..=40).for_each(|seq| marks.note(seq, seq * 10));
        marks.note(40, 1);
        assert_eq!((marks.at(40), marks.at(9), marks.at(8), marks.at(41)), (Some(400), Some(90), None, None));
    }
}
