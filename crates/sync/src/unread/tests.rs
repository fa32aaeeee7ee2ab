use super::*;

const NOTIFY: Verdict = Verdict {
    notify: true,
    highlight: false,
};

fn read(places: &[(&str, Position)]) -> BTreeMap<String, Position> {
    places
        .iter()
        .map(|(thread, pos)| ((*thread).to_owned(), *pos))
        .collect()
}

fn unread(places: &[(&str, Position)]) -> Unread {
    let mut unread = Unread::new(1, 100, read(places));
    for pos in [10, 20, 30] {
        unread.add(MAIN, pos, NOTIFY);
        unread.add("$t", pos + 1, NOTIFY);
    }
    unread
}

fn count(unread: &Unread, part: &str) -> i64 {
    unread.parts.get(part).map_or(0, |part| part.counts.notify)
}

#[test]
fn receipts_of_threads_read_their_threads() {
    let counted = unread(&[("", 10), ("main", 20), ("$t", 11)]);
    assert_eq!((count(&counted, MAIN), count(&counted, "$t")), (1, 2));
    let mut later = unread(&[("", 5)]);
    assert!(later.read(read(&[("", 5), ("main", 30)])));
    assert_eq!((count(&later, MAIN), count(&later, "$t")), (0, 3));
    assert!(later.read(read(&[("", 31), ("main", 30)])));
    assert_eq!(count(&later, "$t"), 0);
}

#[test]
fn a_receipt_in_the_middle_is_not_known() {
    let mut unread = unread(&[("", 5)]);
    assert!(unread.read(read(&[("", 9)])));
    assert!(!unread.read(read(&[("", 20)])));
}

#[test]
fn an_own_event_reads_its_part() {
    let mut counted = unread(&[("", 5)]);
    counted.sent("$t", false);
    assert_eq!((count(&counted, MAIN), count(&counted, "$t")), (3, 0));
    counted.sent(MAIN, true);
    assert!(counted.parts.is_empty());
}

#[test]
fn the_room_has_all_unless_threads_are_told_apart() {
    let mut counted = unread(&[("", 5)]);
    counted.add(
        "$t",
        50,
        Verdict {
            notify: true,
            highlight: true,
        },
    );
    let mut out = Vec::new();
    counted.write(&mut out, false);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#","unread_notifications":{"highlight_count":1,"notification_count":7}"#
    );
    let mut out = Vec::new();
    counted.write(&mut out, true);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        concat!(
            r#","unread_notifications":{"highlight_count":0,"notification_count":3}"#,
            r#","unread_thread_notifications":{"$t":{"highlight_count":1,"notification_count":4}}"#
        )
    );
}
