use ruma::user_id;

use super::*;

fn rules() -> Ruleset {
    Ruleset::server_default(user_id!("@alice:hs.example"))
}

fn put(
    rules: &mut Ruleset,
    (kind, id): (RuleKind, &str),
    body: &str,
    (before, after): (Option<&str>, Option<&str>),
) -> Result<(), MatrixError> {
    let body = body.as_bytes();
    let change = Change::Put {
        body,
        before,
        after,
    };
    apply(rules, (&kind, id), change)
}

fn content(rules: &mut Ruleset, id: &str, place: (Option<&str>, Option<&str>)) {
    let body = r#"{"actions":["notify"],"pattern":"x"}"#;
    put(rules, (RuleKind::Content, id), body, place).unwrap();
}

fn ids(rules: &Ruleset) -> Vec<&str> {
    rules.content.iter().map(|rule| &*rule.rule_id).collect()
}

#[test]
fn a_rule_goes_where_it_is_put() {
    let mut rules = rules();
    for id in ["c", "b", "a"] {
        content(&mut rules, id, (None, None));
    }
    assert_eq!(ids(&rules), ["a", "b", "c"]);
    content(&mut rules, "a", (None, Some("c")));
    assert_eq!(ids(&rules), ["b", "c", "a"]);
    content(&mut rules, "a", (Some("c"), None));
    assert_eq!(ids(&rules), ["b", "a", "c"]);
    content(&mut rules, "d", (Some("c"), Some("b")));
    assert_eq!(ids(&rules), ["b", "a", "d", "c"]);
    // Replaced without a place: it stays where it is.
    content(&mut rules, "a", (None, None));
    assert_eq!(ids(&rules), ["b", "a", "d", "c"]);
}

#[test]
fn the_master_rule_stays_first_and_own_rules_come_before_the_servers() {
    let mut rules = rules();
    let kind = RuleKind::Override;
    put(
        &mut rules,
        (kind, "mine"),
        r#"{"actions":[]}"#,
        (None, None),
    )
    .unwrap();
    let order: Vec<_> = rules.override_.iter().map(|rule| &*rule.rule_id).collect();
    assert_eq!(
        order[..3],
        [".m.rule.master", "mine", ".m.rule.suppress_notices"]
    );
}

#[test]
fn a_replaced_rule_stays_off() {
    let mut rules = rules();
    content(&mut rules, "a", (None, None));
    content(&mut rules, "b", (None, None));
    apply(&mut rules, (&RuleKind::Content, "a"), Change::Enable(false)).unwrap();
    content(&mut rules, "a", (None, None));
    assert!(!rules.content.get("a").unwrap().enabled);
    content(&mut rules, "a", (Some("b"), None));
    assert!(!rules.content.get("a").unwrap().enabled);
}

#[test]
fn what_cannot_be_is_refused() {
    let with = r#"{"actions":["notify"],"pattern":"x"}"#;
    let many = format!(r#"{{"actions":[{}"notify"]}}"#, r#""notify","#.repeat(16));
    type Case<'c> = (RuleKind, &'c str, &'c str, Option<&'c str>, u16, &'c str);
    let cases: [Case<'_>; 11] = [
        (RuleKind::Content, ".x", with, None, 400, "M_INVALID_PARAM"),
        (RuleKind::Content, "a/b", with, None, 400, "M_INVALID_PARAM"),
        (
            RuleKind::Content,
            "a\\b",
            with,
            None,
            400,
            "M_INVALID_PARAM",
        ),
        (RuleKind::Content, "a", with, Some("gone"), 400, "M_UNKNOWN"),
        (
            RuleKind::Override,
            "a",
            with,
            Some(".m.rule.reaction"),
            400,
            "M_INVALID_PARAM",
        ),
        (
            RuleKind::Content,
            "a",
            r#"{"actions":[]}"#,
            None,
            400,
            "M_MISSING_PARAM",
        ),
        (RuleKind::Room, "a", with, None, 400, "M_INVALID_PARAM"),
        (RuleKind::Sender, "a", with, None, 400, "M_INVALID_PARAM"),
        (
            RuleKind::Override,
            "a",
            r#"{"actions":["dance"]}"#,
            None,
            400,
            "M_INVALID_PARAM",
        ),
        (
            RuleKind::Override,
            "a",
            r#"{"actions":[],"conditions":[{"kind":"event_match"}]}"#,
            None,
            400,
            "M_BAD_JSON",
        ),
        (RuleKind::Override, "a", &many, None, 400, "M_INVALID_PARAM"),
    ];
    for (kind, id, body, before, status, code) in cases {
        let error = put(&mut rules(), (kind, id), body, (before, None)).unwrap_err();
        assert_eq!(
            (error.status, &*error.errcode),
            (status, code),
            "{id} {body}"
        );
    }
    for place in [(Some("a"), None), (None, Some("a"))] {
        let itself = put(&mut rules(), (RuleKind::Content, "a"), with, place);
        assert_eq!(itself.unwrap_err().errcode, "M_UNKNOWN");
    }
}

#[test]
fn historical_actions_mean_nothing() {
    let mut rules = rules();
    let body = r#"{"actions":["dont_notify","coalesce",{"set_tweak":"highlight"}],"conditions":[{"kind":"org.example.new","x":1}]}"#;
    put(&mut rules, (RuleKind::Underride, "a"), body, (None, None)).unwrap();
    let rule = rules.underride.get("a").unwrap();
    assert_eq!(rule.actions.len(), 1);
    assert_eq!(rule.conditions.len(), 1);
}

#[test]
fn rules_of_the_server_change_but_stay() {
    let mut rules = rules();
    let id = (&RuleKind::Underride, ".m.rule.message");
    let deleted = apply(&mut rules, id, Change::Delete).unwrap_err();
    assert_eq!(deleted.errcode, "M_INVALID_PARAM");
    apply(&mut rules, id, Change::Actions(b"[]")).unwrap();
    apply(&mut rules, id, Change::Enable(false)).unwrap();
    let rule = rules.underride.get(".m.rule.message").unwrap();
    assert!(rule.actions.is_empty() && !rule.enabled);
    for change in [Change::Delete, Change::Enable(true), Change::Actions(b"[]")] {
        let error = apply(&mut rules, (&RuleKind::Room, "!a:b"), change).unwrap_err();
        assert_eq!(error.errcode, "M_NOT_FOUND");
    }
}
