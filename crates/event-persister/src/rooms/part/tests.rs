use ganglion_model::UserNid;
use ganglion_storage::log::kind;
use ganglion_storage::receipts::ReceiptKind;

use super::*;

fn read(part: &mut Part, user: i64, event_pos: Position) {
    let key = ReceiptKey {
        room_nid: RoomNid(1),
        user_nid: UserNid(user),
        kind: ReceiptKind::Read,
        thread: String::new(),
    };
    let pos = part.position();
    part.log(pos, kind::RECEIPT, &log::Receipt::default());
    let row = ReceiptRow {
        pos,
        event_id: format!("$e{event_pos}"),
        event_pos,
        at_ms: 0,
        crowded: false,
    };
    part.set_receipt(key, row);
}

#[test]
fn of_the_receipts_of_a_batch_only_the_newest_has_an_entry() {
    let mut batch = Part::new(11, 0);
    for (user, event_pos) in [(1, 4), (2, 5), (1, 6), (1, 7)] {
        let mut part = Part::new(batch.next, 0);
        read(&mut part, user, event_pos);
        batch.merge(part);
    }
    assert_eq!(batch.next, 15);
    let (rows, entries) = batch.into_rows();
    let positions: Vec<_> = entries.iter().map(|entry| entry.pos).collect();
    assert_eq!(positions, vec![12, 14]);
    let events: Vec<_> = rows.receipts.values().map(|row| row.event_pos).collect();
    assert_eq!(events, vec![7, 5]);
}
