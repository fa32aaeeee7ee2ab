use proptest::prelude::*;

use super::*;

fn positions() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(i64::MAX), 0..100_000_i64, 0..i64::MAX]
}

proptest! {
    #[test]
    fn sync_token_survives_the_round_trip(
        generation in 1..i32::MAX,
        user in positions(),
        devices in positions(),
        rooms in proptest::collection::vec(positions(), 32),
    ) {
        let rooms = Vector(rooms.try_into().unwrap());
        let token = SyncToken { generation, rooms, user, devices };
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
        let token = SyncToken { generation: 1, rooms: Vector::ZERO, user, devices: 0 }.encode();
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
        rooms,
        user: 0,
        devices: 0,
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
        generation: 1,
        rooms: Vector::ZERO,
        user: 9,
        devices: 0,
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
