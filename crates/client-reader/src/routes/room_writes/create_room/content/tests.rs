use super::*;

#[test]
fn a_topic_has_both_forms() {
    let content = serde_json::to_value(topic_content("tea")).unwrap();
    assert_eq!(
        content,
        serde_json::json!({"topic": "tea", "m.topic": {"m.text": [{"body": "tea"}]}})
    );
}

#[test]
fn a_public_chat_is_open_to_all_but_guests() {
    let [rules, visibility, guests] = preset_state(&RoomPreset::PublicChat);
    assert_eq!(rules.1, object([("join_rule", text("public"))]));
    assert_eq!(
        visibility.1,
        object([("history_visibility", text("shared"))])
    );
    assert_eq!(guests.1, object([("guest_access", text("forbidden"))]));
}
