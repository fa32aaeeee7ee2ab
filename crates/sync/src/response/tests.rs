use ganglion_model::{SoftPlace, Vector};
use serde_json::{Value, json};

use super::*;

fn token() -> SyncToken {
    SyncToken {
        generation: 1,
        rooms: Vector::ZERO,
        user: 0,
        devices: 0,
        typing: SoftPlace::default(),
        sees_typing: false,
        presence: SoftPlace::default(),
    }
}

fn parsed(response: Response) -> Value {
    serde_json::from_slice(&response.finish(&token())).unwrap()
}

#[test]
fn nothing_is_only_a_token() {
    assert!(Response::default().is_empty());
    assert_eq!(
        parsed(Response::default()),
        json!({"next_batch": token().encode()})
    );
}

#[test]
fn sections_hold_rooms_by_id() {
    let mut response = Response::default();
    response.add_room(Section::Join, "!a:x", b"{}");
    response.add_room(Section::Join, "!b\"c:x", b"{\"timeline\":{}}");
    response.add_room(Section::Leave, "!d:x", b"{}");
    response.add_account_data("m.direct", b"{\"@a:x\":[]}");
    response.add_account_data("m.tag", b"{}");
    assert!(!response.is_empty());
    assert_eq!(
        parsed(response),
        json!({
            "next_batch": token().encode(),
            "rooms": {
                "join": {"!a:x": {}, "!b\"c:x": {"timeline": {}}},
                "leave": {"!d:x": {}},
            },
            "account_data": {"events": [
                {"type": "m.direct", "content": {"@a:x": []}},
                {"type": "m.tag", "content": {}},
            ]},
        })
    );
}
