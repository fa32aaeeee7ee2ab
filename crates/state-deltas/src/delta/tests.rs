use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Corrupt, Delta};
use ganglion_model::{EventNid, SlotNid};

fn entries() -> impl Strategy<Value = Vec<(SlotNid, Option<EventNid>)>> {
    let number = prop_oneof![any::<i64>(), 0_i64..50];
    let event = proptest::option::of(number.clone().prop_map(EventNid));
    proptest::collection::vec((number.prop_map(SlotNid), event), 0..40)
}

proptest! {
    #[test]
    fn unpack_reads_what_pack_wrote(changes in entries()) {
        let delta = Delta::from_changes(&changes);
        prop_assert_eq!(Delta::unpack(&delta.pack()), Ok(delta));
    }

    #[test]
    fn unpack_survives_any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _unread = Delta::unpack(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        if let Ok(delta) = Delta::unpack(&bytes) {
            prop_assert_eq!(Delta::unpack(&delta.pack()), Ok(delta));
        }
    }

    #[test]
    fn the_last_change_of_a_slot_wins(older in entries(), newer in entries()) {
        let model: BTreeMap<_, _> = older.iter().chain(&newer).copied().collect();
        let merged = Delta::from_changes(&older).merge(&Delta::from_changes(&newer));
        prop_assert_eq!(merged.entries(), model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn damage_is_named() {
    let cases: [(&[u8], Corrupt); 5] = [
        (&[], Corrupt::Format),
        (&[2], Corrupt::Format),
        (&[1, 0x80], Corrupt::Number),
        (&[1, 4], Corrupt::Number),
        (&[1, 4, 0, 0, 0], Corrupt::Order),
    ];
    for (bytes, error) in cases {
        assert_eq!(Delta::unpack(bytes), Err(error), "{bytes:?}");
    }
}
