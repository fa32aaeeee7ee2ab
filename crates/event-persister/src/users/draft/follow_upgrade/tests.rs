use serde_json::json;

use super::*;

const OLD: &str = "!old:hs.example";
const NEW: &str = "!new:hs.example";

#[test]
fn rules_of_the_old_room_hold_for_the_new_one() {
    let condition = |room: &str| json!({"kind": "event_match", "key": "room_id", "pattern": room});
    let mute = |room: &str| {
        json!({"rule_id": room, "actions": [], "enabled": true, "default": false,
            "conditions": [condition(room), {"kind": "event_match", "key": "type", "pattern": OLD}]})
    };
    let loud = |room: &str| json!({"rule_id": room, "actions": ["notify"], "enabled": true});
    let mut content = json!({"global": {
        "override": [{"rule_id": ".m.rule.master", "conditions": []}, mute(OLD)],
        "room": [loud(OLD), loud("!other:hs.example")],
        "sender": [loud(OLD)],
        "underride": [{"rule_id": OLD, "conditions": []}],
    }});
    assert!(carry_rules(&mut content, OLD, NEW));
    let wanted = json!({"global": {
        "override": [{"rule_id": ".m.rule.master", "conditions": []}, mute(NEW), mute(OLD)],
        "room": [loud(NEW), loud(OLD), loud("!other:hs.example")],
        "sender": [loud(OLD)],
        "underride": [{"rule_id": OLD, "conditions": []}],
    }});
    let wanted = {
        // The second condition is not on the room.
        let mut wanted = wanted;
        wanted["global"]["override"][1]["conditions"][1]["pattern"] = json!(OLD);
        wanted
    };
    assert_eq!(content, wanted);
    assert!(!carry_rules(&mut content, OLD, NEW), "once");
    for odd in [
        json!([]),
        json!({"global": 5}),
        json!({"global": {"room": {"a": 1}}}),
    ] {
        assert!(!carry_rules(&mut odd.clone(), OLD, NEW), "{odd}");
    }
}

#[test]
fn a_direct_room_stays_one() {
    let mut content = json!({"@a:hs.example": [OLD], "@b:hs.example": ["!x:hs.example"], "odd": 5});
    assert!(carry_direct(&mut content, OLD, NEW));
    assert_eq!(content["@a:hs.example"], json!([OLD, NEW]));
    assert_eq!(content["@b:hs.example"], json!(["!x:hs.example"]));
    assert!(!carry_direct(&mut content, OLD, NEW), "once");
}
