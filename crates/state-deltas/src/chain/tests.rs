use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Chain, Link, Needs};
use crate::{Corrupt, DeltaEntry, NewLink, from_full, next};
use ganglion_model::{EventNid, SlotNid, SnapshotNid};

type Model = BTreeMap<SlotNid, EventNid>;

/// Rows as a database holds them, with the packed bytes.
#[derive(Default)]
struct Rows(Vec<(u8, Option<SnapshotNid>, Vec<u8>)>);

impl Rows {
    fn write(&mut self, link: &NewLink) -> SnapshotNid {
        self.0.push((link.level, link.parent, link.delta.pack()));
        SnapshotNid(i64::try_from(self.0.len()).unwrap())
    }

    fn link(&self, nid: SnapshotNid) -> Link {
        let (level, parent, bytes) = &self.0[usize::try_from(nid.0).unwrap() - 1];
        Link::from_row(nid, *level, *parent, bytes).unwrap()
    }

    fn whole(&self, nid: SnapshotNid) -> Chain {
        let mut chain = Chain::unloaded(nid);
        while let Some(missing) = chain.missing() {
            chain.push(self.link(missing)).unwrap();
        }
        chain
    }

    /// Loads only what `next` asks for, as the write path does.
    fn append(&mut self, head: Option<SnapshotNid>, changes: &[DeltaEntry]) -> SnapshotNid {
        let mut chain = head.map_or_else(Chain::empty, Chain::unloaded);
        loop {
            match next(&chain, changes) {
                Ok(link) => return self.write(&link),
                Err(Needs(nid)) => chain.push(self.link(nid)).unwrap(),
            }
        }
    }
}

fn apply(model: &mut Model, changes: &[DeltaEntry]) {
    for (slot, event) in changes {
        match event {
            Some(event) => model.insert(*slot, *event),
            None => model.remove(slot),
        };
    }
}

fn steps() -> impl Strategy<Value = Vec<Vec<DeltaEntry>>> {
    let entry = (
        0_i64..600,
        proptest::option::weighted(0.8, 1_i64..1_000_000),
    );
    let entry = entry.prop_map(|(slot, event)| (SlotNid(slot), event.map(EventNid)));
    let step = prop_oneof![
        6 => proptest::collection::vec(entry.clone(), 0..4),
        1 => proptest::collection::vec(entry, 10..300),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chains_read_like_maps(steps in steps(), fork in 0_usize..40) {
        let mut rows = Rows::default();
        let mut model = Model::new();
        let mut states: Vec<(SnapshotNid, Model)> = Vec::new();
        let mut head = None;
        for (index, changes) in steps.iter().enumerate() {
            if index == fork && index > 3 {
                (head, model) = (Some(states[index / 2].0), states[index / 2].1.clone());
            }
            let nid = rows.append(head, changes);
            apply(&mut model, changes);
            states.push((nid, model.clone()));
            head = Some(nid);
        }
        for (nid, model) in &states {
            let chain = rows.whole(*nid);
            prop_assert_eq!(&chain.to_map().unwrap(), model);
            prop_assert!(chain.links().iter().all(|link| link.delta.len() <= crate::capacity(link.level)));
            for slot in (0..600).map(SlotNid) {
                prop_assert_eq!(chain.get(slot), Ok(model.get(&slot).copied()));
            }
        }
        let (old, new) = (&states[states.len() / 3], states.last().unwrap());
        let found = Chain::diff(&rows.whole(old.0), &rows.whole(new.0)).unwrap();
        let expected: Vec<_> = (0..600)
            .map(SlotNid)
            .map(|slot| (slot, old.1.get(&slot).copied(), new.1.get(&slot).copied()))
            .filter(|(_, old, new)| old != new)
            .collect();
        let found: Vec<_> = found.iter().map(|change| (change.slot, change.old, change.new)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_full_state_is_one_row(slots in proptest::collection::btree_map(0_i64..9_000, 1_i64..99, 0..700)) {
        let state: Model = slots.iter().map(|(s, e)| (SlotNid(*s), EventNid(*e))).collect();
        let mut rows = Rows::default();
        let link = from_full(&state);
        prop_assert_eq!(link.parent, None);
        let nid = rows.write(&link);
        prop_assert_eq!(rows.whole(nid).to_map().unwrap(), state);
    }
}

#[test]
fn a_row_that_is_not_loaded_is_named() {
    let mut rows = Rows::default();
    let many: Vec<DeltaEntry> = (0..200).map(|n| (SlotNid(n), Some(EventNid(n)))).collect();
    let top = rows.append(None, &many);
    let bottom = rows.append(
        Some(top),
        &[(SlotNid(7), None), (SlotNid(500), Some(EventNid(1)))],
    );
    let partial = Chain::new(vec![rows.link(bottom)]).unwrap();
    assert_eq!(partial.missing(), Some(top));
    assert_eq!(
        partial.get(SlotNid(7)),
        Ok(None),
        "a removal hides what is above"
    );
    assert_eq!(partial.get(SlotNid(500)), Ok(Some(EventNid(1))));
    assert_eq!(partial.get(SlotNid(8)), Err(Needs(top)));
    assert_eq!(partial.to_map(), Err(Needs(top)));
    assert_eq!(
        next(&partial, &[(SlotNid(9), None)]).unwrap().parent,
        Some(top)
    );
    assert_eq!(next(&partial, &many), Err(Needs(top)));
    assert_eq!(Chain::diff(&partial, &partial), Ok(Vec::new()));
    assert_eq!(
        Chain::diff(&Chain::unloaded(top), &partial),
        Err(Needs(top))
    );
    assert_eq!(
        Chain::new(vec![rows.link(top), rows.link(bottom)]),
        Err(Corrupt::Chain)
    );
}

#[test]
fn diff_does_not_expand_what_both_share() {
    let mut rows = Rows::default();
    let many: Vec<DeltaEntry> = (0..200).map(|n| (SlotNid(n), Some(EventNid(n)))).collect();
    let top = rows.append(None, &many);
    let one = rows.append(
        Some(top),
        &[(SlotNid(7), Some(EventNid(1))), (SlotNid(8), None)],
    );
    let other = rows.append(
        Some(top),
        &[(SlotNid(7), Some(EventNid(2))), (SlotNid(8), None)],
    );
    let [one, other] = [one, other].map(|nid| Chain::new(vec![rows.link(nid)]).unwrap());
    let changes = Chain::diff(&one, &other).unwrap();
    assert_eq!(
        changes.len(),
        1,
        "found without the shared row: {changes:?}"
    );
}

#[test]
fn bytes_per_change_stay_small() {
    let mut rows = Rows::default();
    let mut head = None;
    for n in 0..10_000_i64 {
        // A room of growing members: mostly new slots, now and then an old one changes; slots and
        // events are numbered cluster-wide, so neighbours lie apart.
        let slot = if n % 5 == 4 { (n / 2) * 37 } else { n * 37 };
        head = Some(rows.append(
            head,
            &[(SlotNid(slot), Some(EventNid(1_000_000 + n * 211)))],
        ));
    }
    let bytes: usize = rows.0.iter().map(|(_, _, bytes)| bytes.len()).sum();
    let average = bytes / rows.0.len();
    println!("state deltas: {average} bytes per change");
    assert!(average < 200, "{average} bytes per change");
    assert!(rows.whole(head.unwrap()).links().len() <= 5);
}
