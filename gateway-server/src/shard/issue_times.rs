//! When connection ids were issued, and so when clients came, without a byte for each of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest number of moments that are kept, which take 32 KiB together.
const MOST: usize = 4096;

/// Two moments may lie apart by this part of their age, so that few of them reach far back.
const PRECISION: u32 = 128;

/// The moments at which the counter of [`ConnectionIds`](super::connection_id::ConnectionIds) had certain values. The first issue in
/// a second notes one, so the time of any issue is that of the moment before it: to the second, and for issues that are long ago to a
/// hundredth of their age.
pub(super) struct IssueTimes {
    /// The instant from which the seconds are counted.
    start: Instant,
    /// The second after that of the newest moment, or 0 when there is none.
    noted: AtomicU32,
    /// The seconds that had passed before `start` in the processes whose times this one goes on with.
    passed: AtomicU32,
    moments: Mutex<Vec<Moment>>,
}

/// The counter that was issued first in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    counter: u32,
    second: u32,
}

impl IssueTimes {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            noted: AtomicU32::new(0),
            passed: AtomicU32::new(0),
            moments: Mutex::default(),
        }
    }

    /// Notes that this counter is issued now.
    pub(super) fn note(&self, counter: u32) {
        self.note_at(counter, self.now().as_secs() as u32);
    }

    /// For how long about this counter has been issued, or `None` if that is too long ago to be known.
    pub(super) fn age(&self, counter: u32) -> Option<Duration> {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let later = moments.partition_point(|moment| moment.counter <= counter);
        let moment = moments.get(later.checked_sub(1)?)?;
        Some(self.now().saturating_sub(Duration::from_secs(moment.second.into())))
    }

    /// Gives the seconds that have passed until now, and each moment as a counter and a second.
    pub(super) fn export(&self) -> (u32, Vec<(u32, u32)>) {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let moments = moments.iter().map(|moment| (moment.counter, moment.second)).collect();
        (self.now().as_secs() as u32, moments)
    }

    /// Goes on with the times of another process, as of which so many seconds had passed until now. Gives false, and changes nothing, if
    /// the moments are not in order or are too many.
    pub(super) fn import(&self, passed: u32, exported: &[(u32, u32)]) -> bool {
        let is_in_order = exported.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1);
        let is_past = exported.last().is_none_or(|(_, second)| *second <= passed);
        if !is_in_order || !is_past || exported.len() > MOST {
            return false;
        }
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        *moments =
            exported.iter().map(|(counter, second)| Moment { counter: *counter, second: *second }).collect();
        let before = passed.saturating_sub(self.start.elapsed().as_secs() as u32);
        self.passed.store(before, Ordering::Relaxed);
        self.noted.store(moments.last().map_or(0, |last| last.second.saturating_add(1)), Ordering::Relaxed);
        true
    }

    /// The time that has passed since the start of the first of the processes.
    fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_secs(self.passed.load(Ordering::Relaxed).into())
    }

    fn note_at(&self, counter: u32, second: u32) {
        if self.noted.load(Ordering::Relaxed) > second {
            return;
        }
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = moments.last() {
            if last.second >= second {
                return;
            }
            if last.counter >= counter {
                // Another thread has drawn a later counter and was quicker, unless the counter has begun anew.
                if last.counter - counter < u32::MAX / 2 {
                    return;
                }
                moments.clear();
            }
        }
        if moments.len() >= MOST {
            thin(&mut moments, second);
        }
        moments.push(Moment { counter, second });
        self.noted.store(second.saturating_add(1), Ordering::Relaxed);
    }
}

/// Drops the moments that are closer to others than their age calls for. If that are too few, it drops the oldest.
fn thin(moments: &mut Vec<Moment>, now: u32) {
    let mut kept: Vec<Moment> = Vec::with_capacity(MOST);
    for at in 0..moments.len() {
        // Without this moment, the one before would stand for all issues up to the next.
        let next = moments.get(at + 1).map_or(now, |next| next.second);
        let is_needed = kept.last().is_none_or(|before| next - before.second > (now - next) / PRECISION);
        if is_needed {
            kept.push(moments[at]);
        }
    }
    let too_many = (kept.len() + 1).saturating_sub(MOST);
    kept.drain(..too_many);
    *moments = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times at whose current second `now` issues are looked back at.
    fn second_of(times: &IssueTimes, counter: u32) -> Option<u32> {
        let moments = times.moments.lock().unwrap();
        let later = moments.partition_point(|moment| moment.counter <= counter);
        Some(moments[later.checked_sub(1)?].second)
    }

    #[test]
    fn the_time_of_an_issue_is_that_of_its_second() {
        let times = IssueTimes::new();
        assert_eq!(times.age(0), None);
        times.note(0);
        assert!(times.age(0).unwrap() < Duration::from_secs(60));
        for (counter, second) in [(1, 100), (2, 100), (5, 103), (4, 103), (3, 104), (9, 110)] {
            times.note_at(counter, second);
        }
        let seconds = [1, 2, 4, 5, 8, 9, 1000].map(|counter| second_of(&times, counter).unwrap());
        assert_eq!(seconds, [100, 100, 100, 103, 103, 110, 110]);
    }

    #[test]
    fn a_process_goes_on_with_the_times_of_another() {
        let first = IssueTimes::new();
        first.passed.store(1000, Ordering::Relaxed);
        [(1, 100), (5, 900)].into_iter().for_each(|(counter, second)| first.note_at(counter, second));
        let (passed, moments) = first.export();
        let second = IssueTimes::new();
        assert!(second.import(passed, &moments));
        let ages = [0, 4, 5].map(|counter| second.age(counter).map(|age| age.as_secs() / 60));
        assert_eq!(ages, [None, Some(15), Some(1)]);
        second.note(9);
        assert!(second.age(9).unwrap() < Duration::from_secs(60));
        assert_eq!(second.export().1.len(), 3);
        for (passed, moments) in [(10, vec![(1, 11)]), (10, vec![(1, 3), (1, 4)]), (10, vec![(1, 3), (2, 3)])]
        {
            assert!(!second.import(passed, &moments), "{moments:?}");
        }
        assert_eq!(second.export().1.len(), 3);
    }

    #[test]
    fn few_moments_reach_years_back() {
        let times = IssueTimes::new();
        // A hundred connections a second for a month, and then one every ten minutes for five years.
        let (mut counter, mut second) = (0, 0);
        let mut issued = Vec::new();
        while second < 86_400 * 365 * 5 {
            times.note_at(counter, second);
            issued.push((counter, second));
            let is_busy = second < 86_400 * 30;
            (counter, second) =
                (counter + if is_busy { 100 } else { 1 }, second + if is_busy { 1 } else { 600 });
        }
        assert!(times.moments.lock().unwrap().len() <= MOST);
        for (counter, at) in issued {
            let off = at - second_of(&times, counter).unwrap();
            assert!(off <= 1 + (second - at) / 100, "{off} s off at an age of {} s", second - at);
        }
    }

    #[test]
    fn a_counter_that_begins_anew_forgets_those_before() {
        let times = IssueTimes::new();
        times.note_at(u32::MAX - 1, 5);
        times.note_at(3, 6);
        times.note_at(7, 7);
        assert_eq!([2, 3, 7].map(|counter| second_of(&times, counter)), [None, Some(6), Some(7)]);
    }
}
