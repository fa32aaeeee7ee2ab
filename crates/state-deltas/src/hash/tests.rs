use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{StateHash, Summary};
use ganglion_model::{EventNid, SlotNid};

proptest! {
    #[test]
    fn any_order_and_any_detour_give_the_same_hash(
        changes in proptest::collection::vec((0_i64..12, proptest::option::of(0_i64..9)), 0..60),
    ) {
        let mut state = BTreeMap::new();
        let mut summary = Summary::EMPTY;
        for (slot, event) in changes {
            let (slot, event) = (SlotNid(slot), event.map(EventNid));
            let old = match event {
                Some(event) => state.insert(slot, event),
                None => state.remove(&slot),
            };
            summary = summary.change(slot, old, event);
        }
        prop_assert_eq!(summary, Summary::of(&state));
        prop_assert_eq!(summary.hash, StateHash::of(&state));
        let backwards =
            state.iter().rev().fold(StateHash::EMPTY, |hash, (slot, event)| hash.insert(*slot, *event));
        prop_assert_eq!(summary.hash, backwards);
        prop_assert_eq!(usize::try_from(summary.len).unwrap(), state.len());
    }
}

#[test]
fn slot_and_event_are_told_apart() {
    let hash = |slot, event| StateHash::EMPTY.insert(SlotNid(slot), EventNid(event));
    assert_ne!(hash(1, 2), hash(2, 1));
    assert_eq!(
        hash(1, 2).replace(SlotNid(1), EventNid(2), EventNid(3)),
        hash(1, 3)
    );
    // Stored in rows: must never change.
    assert_eq!(
        hash(1, 2).0,
        [
            0x8c, 0x76, 0x54, 0xec, 0xfd, 0x7b, 0x0b, 0x62, 0x3b, 0x80, 0x3e, 0x2f, 0x4e, 0x02,
            0xad, 0x1c
        ]
    );
}
