use serde_json::json;

use super::*;

fn project(fields: &[&str]) -> Value {
    let event = json!({
        "type": "m.room.message",
        "sender": "@a:x",
        "content": {"body": "hi", "a.b": 1, "deep": {"x": 1, "y": 2}, "list": [1]},
    });
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let projected = Fields::new(&fields).project(event.to_string().as_bytes());
    serde_json::from_slice(&projected).unwrap()
}

#[test]
fn only_named_fields_stay() {
    assert_eq!(project(&["type"]), json!({"type": "m.room.message"}));
    assert_eq!(
        project(&["content.body", "sender"]),
        json!({"content": {"body": "hi"}, "sender": "@a:x"})
    );
    assert_eq!(
        project(&["content.deep.x", "content.deep.y", "content.body"]),
        json!({"content": {"body": "hi", "deep": {"x": 1, "y": 2}}})
    );
    assert_eq!(
        project(&["content.absent", "absent", "type.more"]),
        json!({})
    );
}

#[test]
fn dots_in_names_are_escaped() {
    assert_eq!(project(&["content.a\\.b"]), json!({"content": {"a.b": 1}}));
    assert_eq!(parts("a\\\\b.c\\d"), vec!["a\\b", "c\\d"]);
}
