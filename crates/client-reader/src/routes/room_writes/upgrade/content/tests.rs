use ruma::CanonicalJsonObject;
use serde_json::json;

use super::*;

fn object(value: serde_json::Value) -> CanonicalJsonObject {
    serde_json::from_value(value).unwrap()
}

#[test]
fn levels_become_integers() {
    let old = json!({
        "ban": "50", "kick": 40, "redact": "much", "users": {"@a:x": " 100 ", "@b:x": true},
        "events": 5, "invite": {"a": 1},
    });
    let new = json!({"ban": 50, "kick": 40, "users": {"@a:x": 100}});
    assert_eq!(integers(object(old)), object(new));
}

#[test]
fn only_aliases_that_move_stay_canonical() {
    let old = json!({"alias": "#a:x", "alt_aliases": ["#b:x", "#c:elsewhere"], "more": 1});
    let moved = |aliases: &[&str]| {
        let aliases: Vec<String> = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        moved_aliases(object(old.clone()), &aliases)
    };
    assert_eq!(moved(&[]), object(json!({})));
    assert_eq!(
        moved(&["#a:x", "#b:x"]),
        object(json!({"alias": "#a:x", "alt_aliases": ["#b:x"]}))
    );
}

#[test]
fn a_ban_keeps_its_reason_only() {
    let old = br#"{"membership":"ban","reason":"spam","displayname":"Eve"}"#;
    let new = json!({"membership": "ban", "reason": "spam"});
    assert_eq!(ban_content(old), object(new));
}
