//! What every store tells PHP of messages: once each, in order, and nothing that has not happened.

use bytes::Bytes;

use super::bounds::{Bounds, NOTICE_LIFE};
use super::conformance::{ALL_NOTICES, Bench, SMALL, UID, invented, message, on_both_with};
use super::model::Millis;
use super::notices::Fact;
use super::store::{Operation, Outcome};

const HOUR: Millis = 3_600_000;

fn on_both(bounds: Bounds, test: impl Fn(&mut Bench)) {
    on_both_with(bounds, ALL_NOTICES, test);
}

/// Gives what PHP is told, each as its id, what has become of it, and where; then PHP has it.
fn told(bench: &mut Bench) -> Vec<String> {
    let notices = bench.store.notices(1000, usize::MAX).unwrap();
    let Some(last) = notices.last() else { return Vec::new() };
    assert_eq!(bench.one(Operation::NoticesTold { up_to: last.number }), Outcome::Done);
    assert_eq!(bench.store.notices(1000, usize::MAX).unwrap(), []);
    let shown = notices.iter().map(|notice| {
        assert_eq!(notice.uid, UID);
        match &notice.fact {
            Fact::Received { device, at } => format!("{} received {} {at}", notice.id, device.as_row().1),
            Fact::Read { device, at } => format!("{} read {} {at}", notice.id, device.as_row().1),
            Fact::Undelivered { stored_at } => format!("{} undelivered {stored_at}", notice.id),
        }
    });
    shown.collect()
}

/// Gives how many messages were found to be late.
fn late(bench: &mut Bench) -> usize {
    match bench.one(Operation::TellUndelivered { at_most: 100 }) {
        Outcome::Expired { removed, .. } => removed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn php_is_told_once_what_each_device_has_received_and_read() {
    on_both(Bounds::default(), |bench| {
        let [phone, tablet] = ["phone", "tablet"].map(invented);
        bench.arrive(&phone);
        bench.arrive(&tablet);
        let positions = ["a", "b", "c"].map(|id| bench.stored(message(id, "")).0);
        bench.written(&phone, positions[1]);
        let at = bench.now;
        // The page claims more than was written to it.
        bench.acknowledge(&phone, positions[2]);
        bench.acknowledge(&phone, positions[1]);
        assert_eq!(told(bench), [format!("a received phone {at}"), format!("b received phone {at}")]);
        bench.now += 5;
        bench.read(&phone, positions[0]);
        bench.read(&phone, positions[0]);
        bench.read(&phone, positions[2]);
        bench.written(&tablet, positions[2]);
        bench.acknowledge(&tablet, positions[0]);
        let at = bench.now;
        assert_eq!(told(bench), [format!("a read phone {at}"), format!("a received tablet {at}")]);
    });
}

#[test]
fn what_was_dropped_replaced_or_not_for_a_device_is_not_received_by_it() {
    on_both(SMALL, |bench| {
        let [phone, tablet] = ["phone", "tablet"].map(invented);
        bench.arrive(&phone);
        let old = bench.stored(message("old", "")).0;
        bench.written(&phone, old);
        bench.acknowledge(&phone, old);
        // This device comes later, and `old` is not for it.
        bench.arrive(&tablet);
        let mut first = message("first", "");
        first.replace = Some("key".into());
        bench.stored(first.clone());
        first.id = "second".into();
        bench.now += 1;
        bench.stored(first);
        bench.now += 1;
        // Three messages are kept: the second makes room for the last.
        let last = ["1", "2", "3"].map(|id| bench.stored(message(id, "")).0)[2];
        told(bench);
        bench.now += 1;
        bench.written(&tablet, last);
        bench.acknowledge(&tablet, last);
        let at = bench.now;
        assert_eq!(told(bench), ["1", "2", "3"].map(|id| format!("{id} received tablet {at}")));
    });
}

#[test]
fn php_is_told_once_of_a_message_that_nobody_has_acknowledged_in_time() {
    on_both(Bounds::default(), |bench| {
        let phone = invented("phone");
        bench.arrive(&phone);
        let [first, second] = ["first", "second"].map(|id| bench.stored(message(id, "")).0);
        let mut short = message("short", "");
        short.ttl = 60;
        bench.stored(short);
        bench.written(&phone, second);
        bench.acknowledge(&phone, first);
        let stored = bench.now;
        told(bench);
        bench.now += 59_999;
        assert!(!bench.store.has_undelivered(bench.now).unwrap());
        assert_eq!((late(bench), told(bench)), (0, vec![]));
        // Its time ends before the hour.
        bench.now += 1;
        assert!(bench.store.has_undelivered(bench.now).unwrap());
        assert_eq!((late(bench), told(bench)), (1, vec![format!("short undelivered {stored}")]));
        bench.now += HOUR;
        assert_eq!((late(bench), told(bench)), (1, vec![format!("second undelivered {stored}")]));
        assert!(!bench.store.has_undelivered(bench.now).unwrap());
        assert_eq!(late(bench), 0);
        // A receipt may still follow.
        bench.acknowledge(&phone, second);
        assert_eq!(told(bench), [format!("second received phone {}", bench.now)]);
    });
}

#[test]
fn what_goes_before_its_time_is_told_at_once() {
    on_both(SMALL, |bench| {
        let stored = bench.now;
        let mut short = message("short", "");
        short.ttl = 1;
        bench.stored(short.clone());
        for id in ["1", "2", "3"] {
            bench.stored(message(id, ""));
        }
        assert_eq!(told(bench), [format!("short undelivered {stored}")]);
        // A message that goes with its time is told if it was not told before, also when its id comes again.
        bench.now += 2000;
        assert_eq!(bench.expire(10).0, 1);
        assert_eq!(told(bench), Vec::<String>::new());
        short.id = "other".into();
        let again = bench.now;
        bench.stored(short.clone());
        told(bench);
        bench.now += 1000;
        bench.stored(short);
        assert_eq!(told(bench)[0], format!("other undelivered {again}"));
        bench.now += 1000;
        assert_eq!(bench.expire(10).0, 1);
        assert_eq!(told(bench), [format!("other undelivered {}", again + 1000)]);
    });
}

#[test]
fn a_message_that_is_replaced_again_and_again_is_told_at_last() {
    on_both(Bounds::default(), |bench| {
        for minutes in 0..100 {
            let mut count = message(&format!("count-{minutes}"), "");
            count.replace = Some("count".into());
            bench.stored(count);
            late(bench);
            bench.now += 60_000;
        }
        let notices = told(bench);
        assert_eq!(notices.len(), 1, "{notices:?}");
        // The first one's hour ended when the sixtieth had come.
        assert!(notices[0].starts_with("count-60 undelivered"), "{notices:?}");
    });
}

#[test]
fn notices_are_bounded_and_forgotten_with_their_uid() {
    on_both(SMALL, |bench| {
        // Room for three is made again and again, and eight notices are kept.
        (0..20).for_each(|number| {
            bench.stored(message(&format!("m{number}"), ""));
        });
        let totals = bench.store.totals().unwrap();
        assert_eq!((totals.notices, totals.lost_notices), (8, 9));
        let notices = bench.store.notices(1000, usize::MAX).unwrap();
        assert_eq!(&*notices[0].id, "m9");
        let part: Vec<_> = [(2, usize::MAX), (8, 0), (8, 300)]
            .map(|(limit, bytes)| bench.store.notices(limit, bytes).unwrap().len())
            .into();
        assert_eq!(part, [2, 1, 2]);
        bench.now += NOTICE_LIFE - 1;
        let before = bench.store.notices(1000, usize::MAX).unwrap().len();
        bench.expire(0);
        assert_eq!(bench.store.notices(1000, usize::MAX).unwrap().len(), before);
        bench.now += 1;
        bench.expire(2);
        assert_eq!(bench.store.notices(1000, usize::MAX).unwrap()[0].number, notices[2].number);
        bench.one(Operation::Forget { uid: Bytes::from_static(UID) });
        assert_eq!(bench.store.notices(1000, usize::MAX).unwrap(), []);
        assert_eq!(bench.store.totals().unwrap().notices, 0);
        assert_eq!(late(bench), 0);
    });
}
