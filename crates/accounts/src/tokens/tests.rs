use ganglion_proto::log::Entry;
use ruma::{owned_device_id, owned_user_id};

use super::*;

const HASH: [u8; 32] = [7; 32];

fn shard() -> Shard {
    Shard::users().next().unwrap()
}

fn known(cache: &TokenCache, user: i64, read_at: Position) -> Known {
    Known {
        identity: Identity {
            user_id: owned_user_id!("@a:hs.example"),
            user_nid: UserNid(user),
            device_id: owned_device_id!("D"),
            kind: UserKind::Person,
            locked: false,
            suspended: false,
            first_use: false,
        },
        shard: shard(),
        expires_at: None,
        read_at,
        era: cache.era(),
    }
}

fn revoke(cache: &TokenCache, user: i64, pos: Position) {
    let payload = TokenRevocation {
        user_nid: user,
        device_id: None,
    }
    .encode_to_vec();
    cache.apply(&LogBatch {
        shard: shard(),
        generation: 1,
        first: pos,
        last: pos,
        at_ms: 0,
        entries: vec![Entry {
            pos,
            kind: kind::TOKEN_REVOCATION,
            payload: payload.into(),
        }],
    });
}

#[test]
fn a_revocation_ends_what_was_read_before_it() {
    let cache = TokenCache::new(10);
    cache.insert(HASH, known(&cache, 1, 5));
    let held = cache.get(&HASH).unwrap();
    assert!(cache.holds(&held));
    revoke(&cache, 2, 6);
    assert!(cache.holds(&held), "somebody else's");
    revoke(&cache, 1, 7);
    assert!(!cache.holds(&held));
    assert!(
        !cache.holds(&known(&cache, 1, 6)),
        "read before, remembered after"
    );
    assert!(cache.holds(&known(&cache, 1, 7)), "read after");
}

#[test]
fn a_new_beginning_of_the_log_ends_everything() {
    let cache = TokenCache::new(10);
    let held = known(&cache, 1, 100);
    cache.restart(shard(), 50);
    assert!(
        !cache.holds(&held),
        "positions of another generation do not compare"
    );
    assert!(!cache.holds(&known(&cache, 1, 49)));
    assert!(cache.holds(&known(&cache, 1, 50)));
}

#[test]
fn many_revocations_stay_bounded_and_safe() {
    let cache = TokenCache::new(10);
    let users = i64::try_from(REMEMBERED_PER_SHARD).unwrap();
    for user in 0..=users {
        revoke(&cache, user, user + 1);
    }
    assert!(cache.ended(shard()).unwrap().users.is_empty());
    assert!(!cache.holds(&known(&cache, 3, users)));
    assert!(cache.holds(&known(&cache, 3, users + 1)));
}
