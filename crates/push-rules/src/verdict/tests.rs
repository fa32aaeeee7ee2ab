use ruma::{room_id, user_id};
use serde_json::json;

use super::*;
use crate::change::{Change, apply};

fn verdict_of(
    rules: Option<&Ruleset>,
    event_type: &str,
    state_key: Option<&str>,
    content: &serde_json::Value,
    members: u64,
) -> Verdict {
    let content = serde_json::value::to_raw_value(content).unwrap();
    let event = EventFacts {
        event_type,
        state_key,
        sender: "@bob:hs.example",
        event_id: "$e",
        room_id: room_id!("!r:hs.example"),
        content: &content,
    };
    let Some(rules) = rules else {
        return DefaultRules::default().verdict(&event, || true);
    };
    let onlooker = Onlooker {
        user_id: user_id!("@alice:hs.example"),
        display_name: "Alice",
        members,
        may_notify_room: true,
    };
    verdict(&actions(rules, &event, &onlooker))
}

const NOTHING: Verdict = Verdict {
    notify: false,
    highlight: false,
};
const NOTIFY: Verdict = Verdict {
    notify: true,
    highlight: false,
};
const HIGHLIGHT: Verdict = Verdict {
    notify: true,
    highlight: true,
};

#[test]
fn the_default_rules_say_to_everybody_what_they_say_to_one() {
    let alice = Ruleset::server_default(user_id!("@alice:hs.example"));
    let text = json!({"msgtype": "m.text", "body": "hi Alice"});
    let cases = [
        ("m.room.message", None, text, NOTIFY),
        (
            "m.room.message",
            None,
            json!({"msgtype": "m.notice"}),
            NOTHING,
        ),
        ("m.room.encrypted", None, json!({}), NOTIFY),
        ("m.call.invite", None, json!({}), NOTIFY),
        ("m.reaction", None, json!({}), NOTHING),
        ("m.room.topic", Some(""), json!({"topic": "x"}), NOTHING),
        ("m.room.tombstone", Some(""), json!({}), HIGHLIGHT),
        (
            "m.room.member",
            Some("@x:y"),
            json!({"membership": "invite"}),
            NOTHING,
        ),
        (
            "m.room.message",
            None,
            json!({"m.mentions": {"room": true}}),
            HIGHLIGHT,
        ),
        (
            "org.example.poll",
            None,
            json!({"m.mentions": {"room": true}}),
            HIGHLIGHT,
        ),
        ("org.example.poll", None, json!({}), NOTHING),
        (
            "m.room.message",
            None,
            json!({"m.relates_to": {"rel_type": "m.replace"}}),
            NOTHING,
        ),
    ];
    for (event_type, state_key, content, expected) in cases {
        for members in [2, 3] {
            let one = verdict_of(Some(&alice), event_type, state_key, &content, members);
            assert_eq!(one, expected, "{event_type} {content}");
        }
        let all = verdict_of(None, event_type, state_key, &content, 3);
        assert_eq!(all, expected, "{event_type} {content}");
    }
}

#[test]
fn who_is_named_hears_more() {
    let alice = Ruleset::server_default(user_id!("@alice:hs.example"));
    let mention = json!({"body": "x", "m.mentions": {"user_ids": ["@alice:hs.example"]}});
    let said = verdict_of(Some(&alice), "m.room.message", None, &mention, 3);
    assert_eq!(said, HIGHLIGHT);
    assert_eq!(
        verdict_of(None, "m.room.message", None, &mention, 3),
        NOTIFY
    );
    let invite = json!({"membership": "invite"});
    let me = Some("@alice:hs.example");
    assert_eq!(
        verdict_of(Some(&alice), "m.room.member", me, &invite, 3),
        NOTIFY
    );
}

#[test]
fn members_are_counted_only_for_rules_that_ask() {
    let id = user_id!("@alice:hs.example");
    let mut rules = Ruleset::server_default(id);
    assert!(!needs_members(&rules));
    let louder = br#"["notify",{"set_tweak":"sound","value":"x"}]"#;
    let one_to_one = (&ruma::push::RuleKind::Underride, ".m.rule.room_one_to_one");
    apply(&mut rules, one_to_one, Change::Actions(louder)).unwrap();
    assert!(!needs_members(&rules));
    apply(&mut rules, one_to_one, Change::Actions(b"[]")).unwrap();
    assert!(needs_members(&rules));
    let mut rules = Ruleset::server_default(id);
    let message = (&ruma::push::RuleKind::Underride, ".m.rule.message");
    apply(&mut rules, message, Change::Enable(false)).unwrap();
    assert!(needs_members(&rules));
}
