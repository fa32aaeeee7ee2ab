use super::*;

fn text(text: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(text.to_owned())
}

#[test]
fn names_of_the_spec_and_namespaced_ones_are_taken() {
    for name in [
        "displayname",
        "avatar_url",
        "m.tz",
        "com.example.pronouns",
        "org.x-y.a_1",
    ] {
        assert!(check_name(name).is_ok(), "{name}");
    }
    for name in [
        "", "nickname", "m.", ".m", "M.tz", "1.a", "a.b ", "a.b.", "é.a",
    ] {
        assert_eq!(
            check_name(name).unwrap_err().errcode,
            "M_INVALID_PARAM",
            "{name}"
        );
    }
    let long = format!("a.{}", "b".repeat(254));
    assert_eq!(check_name(&long).unwrap_err().errcode, "M_KEY_TOO_LARGE");
}

#[test]
fn values_have_the_types_of_the_spec() {
    assert_eq!(
        checked_value("displayname", text("A")).unwrap(),
        Some(text("A"))
    );
    assert_eq!(checked_value("displayname", text("")).unwrap(), None);
    assert_eq!(
        checked_value("avatar_url", CanonicalJsonValue::Null).unwrap(),
        None
    );
    assert!(
        checked_value("avatar_url", text("mxc://hs.example/abc"))
            .unwrap()
            .is_some()
    );
    assert!(checked_value("avatar_url", text("https://hs.example/abc")).is_err());
    assert!(checked_value("displayname", CanonicalJsonValue::Bool(true)).is_err());
    assert!(checked_value("m.tz", CanonicalJsonValue::Null).is_err());
    let null = CanonicalJsonValue::Null;
    assert_eq!(
        checked_value("com.example.x", null.clone()).unwrap(),
        Some(null)
    );
}
