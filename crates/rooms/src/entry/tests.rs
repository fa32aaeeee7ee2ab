use serde_json::json;

use super::*;

#[test]
fn only_restricted_rooms_allow_members_of_others() {
    let allow = json!([
        {"type": "m.room_membership", "room_id": "!a:x"},
        {"type": "org.example", "room_id": "!b:x"},
        {"type": "m.room_membership", "room_id": 7},
        "!c:x",
    ]);
    let rules = |rule: &str| json!({"join_rule": rule, "allow": allow});
    assert_eq!(allowed_rooms(rules("restricted")), vec!["!a:x"]);
    assert_eq!(allowed_rooms(rules("knock_restricted")), vec!["!a:x"]);
    assert_eq!(allowed_rooms(rules("invite")), Vec::<String>::new());
    assert_eq!(
        allowed_rooms(json!({"join_rule": "restricted"})),
        Vec::<String>::new()
    );
    assert_eq!(allowed_rooms(Value::Null), Vec::<String>::new());
}
