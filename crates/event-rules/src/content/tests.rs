use proptest::prelude::*;

use super::{ContentError, MAX_DEPTH, is_storable_key, parse_object};
use crate::testing::any_value;

// Spec, appendices, "Canonical JSON", "Examples".
#[test]
fn canonical_form() {
    for (given, expected) in [
        ("{}", "{}"),
        (r#"{"one": 1, "two": "Two"}"#, r#"{"one":1,"two":"Two"}"#),
        (r#"{"b": "2", "a": "1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe", "three_pids": [{"medium": "email", "address": "john.doe@example.org"}, {"medium": "msisdn", "address": "123456789"}]}}}"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{"a": "日本語"}"#, r#"{"a":"日本語"}"#),
        (r#"{"本": 2, "日": 1}"#, r#"{"日":1,"本":2}"#),
        (r#"{"a": "\u65E5"}"#, r#"{"a":"日"}"#),
        (r#"{"a": null}"#, r#"{"a":null}"#),
        (r#"{"a": "\u0000\u000a\/"}"#, r#"{"a":"\u0000\n/"}"#),
        (r#"{"a": -9007199254740991}"#, r#"{"a":-9007199254740991}"#),
    ] {
        let object = parse_object(given.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), expected);
    }
}

#[test]
fn what_is_refused() {
    let nested = |depth: usize| {
        [
            r#"{"a":"#.to_owned(),
            "[".repeat(depth),
            "]".repeat(depth),
            "}".to_owned(),
        ]
        .concat()
    };
    let deep = usize::from(MAX_DEPTH);
    assert!(parse_object(nested(deep - 1).as_bytes()).is_ok());
    let (too_deep, far_too_deep) = (nested(deep), nested(100_000));
    for (given, not_json) in [
        ("", true),
        ("{", true),
        ("{} x", true),
        (r#"{"a": tru}"#, true),
        (r#"{"a": "\ud800"}"#, true),
        ("[]", false),
        ("7", false),
        (r#"{"a": 1.0}"#, false),
        (r#"{"a": 1e3}"#, false),
        (r#"{"a": 9007199254740992}"#, false),
        (r#"{"a": 99999999999999999999999}"#, false),
        (r#"{"a": 1, "a": 1}"#, false),
        (r#"{"b": {"a": 1, "\u0061": 2}}"#, false),
        (&too_deep, false),
        (&far_too_deep, false),
    ] {
        let error = parse_object(given.as_bytes()).unwrap_err();
        let found = matches!(error, ContentError::NotJson(_));
        assert_eq!(found, not_json, "{error} of {given:.40}");
    }
}

#[test]
fn keys_that_can_be_stored() {
    assert!(is_storable_key("m.room.member"));
    assert!(is_storable_key(""));
    assert!(!is_storable_key("a\0"));
    assert!(!is_storable_key(&"ä".repeat(128)));
}

proptest! {
    #[test]
    fn canonical_json_reads_itself(
        content in proptest::collection::btree_map(any::<String>(), any_value(), 0..5),
    ) {
        let text = serde_json::to_vec(&content).unwrap();
        prop_assert_eq!(parse_object(&text), Ok(content));
    }
}
