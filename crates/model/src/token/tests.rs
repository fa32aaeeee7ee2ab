use proptest::prelude::*;

use super::*;

fn positions() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(i64::MAX), 0..100_000_i64, 0..i64::MAX]
}

fn token(rooms: Vector) -> SyncToken {
    SyncToken {
        generation: 1,
        rooms,
        user: 0,
        devices: 0,
        typing: SoftPlace::default(),
        sees_typing: false,
        presence: SoftPlace::default(),
    }
}

proptest! {
    #[test]
    fn sync_token_survives_the_round_trip(
        generation in 1..i32::MAX,
        user in positions(),
        devices in positions(),
        rooms in proptest::collection::vec(positions(), 32),
        soft in (positions(), positions()),
        runs in any::<(u32, u32)>(),
        sees_typing in any::<bool>(),
    ) {
        let rooms = Vector(rooms.try_into().unwrap());
        let token = SyncToken {
            user, devices, sees_typing, generation,
            typing: SoftPlace { run: runs.0, at: soft.0 },
            presence: SoftPlace { run: runs.1, at: soft.1 },
            ..token(rooms)
        };
        prop_assert_eq!(SyncToken::decode(&token.encode()), Ok(token));
    }

    #[test]
    fn page_token_survives_the_round_trip(generation in 1..i32::MAX, position in any::<i64>()) {
        let token = PageToken { generation, position };
        let shard = Shard::new(3).unwrap();
        prop_assert_eq!(PageToken::decode(&token.encode(), shard), Ok(token));
    }

    #[test]
    fn any_text_is_a_token_or_an_error(text in ".{0,200}") {
        let shard = Shard::new(0).unwrap();
        if let Ok(token) = SyncToken::decode(&text) {
            prop_assert_eq!(SyncToken::decode(&token.encode()), Ok(token));
        }
        if let Ok(token) = PageToken::decode(&text, shard) {
            prop_assert_eq!(PageToken::decode(&token.encode(), shard), Ok(token));
        }
    }

    #[test]
    fn a_cut_token_is_refused(user in 1..i64::MAX, cut in 1..20_usize) {
        let token = SyncToken { user, ..token(Vector::ZERO) }.encode();
        let shorter = token.get(..token.len() - cut).unwrap();
        prop_assert_eq!(SyncToken::decode(shorter), Err(TokenError));
    }
}

#[test]
fn a_page_token_can_be_read_from_a_sync_token() {
    let mut rooms = Vector::ZERO;
    let shard = Shard::new(7).unwrap();
    rooms.set(shard, 42);
    let token = SyncToken {
        generation: 2,
        ..token(rooms)
    }
    .encode();
    assert_eq!(
        PageToken::decode(&token, shard),
        Ok(PageToken {
            generation: 2,
            position: 42
        })
    );
}

#[test]
fn a_later_version_with_more_fields_is_read() {
    let token = SyncToken {
        user: 9,
        ..token(Vector::ZERO)
    };
    let text = token.encode();
    let mut bytes = URL_SAFE_NO_PAD
        .decode(text.strip_prefix('s').unwrap())
        .unwrap();
    bytes[0] = SYNC_VERSION + 1;
    bytes.extend([1, 2, 3]);
    let later = format!("s{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(SyncToken::decode(&later), Ok(token));
}

#[test]
fn the_layout_without_soft_state_is_read() {
    let wanted = SyncToken {
        user: 300,
        ..token(Vector([7; 32]))
    };
    // Version, generation, user, devices, 32 positions.
    let mut bytes = vec![1, 1, 0xac, 0x02, 0];
    bytes.extend([7; 32]);
    let old = format!("s{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(SyncToken::decode(&old), Ok(wanted));
}
