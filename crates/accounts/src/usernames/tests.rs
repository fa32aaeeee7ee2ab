use ruma::server_name;

use super::*;

#[test]
fn names_in_the_grammar_are_taken() {
    let server = server_name!("hs.example");
    for name in ["alice", "q3._=-/+", "1", "_under"] {
        assert_eq!(
            new_user_id(name, server).unwrap(),
            format!("@{name}:hs.example")
        );
    }
    assert_eq!(
        new_user_id("User-UPPER", server).unwrap(),
        "@user-upper:hs.example"
    );
}

#[test]
fn other_names_are_refused() {
    let server = server_name!("hs.example");
    let long = "a".repeat(255);
    for name in [
        "", "a b", "a:b", "@a", "é", "a\n", "a!", "a\"", "a\\", "[a]", "a|", "£", &long,
    ] {
        let error = new_user_id(name, server).unwrap_err();
        assert_eq!(
            (error.status, error.errcode.as_str()),
            (400, "M_INVALID_USERNAME"),
            "{name:?}"
        );
    }
}

#[test]
fn a_login_names_a_user_by_localpart_or_id() {
    let server = server_name!("hs.example:8448");
    let alice = Some(new_user_id("alice", server).unwrap());
    assert_eq!(login_user_id("alice", server), alice);
    assert_eq!(login_user_id("Alice", server), alice);
    assert_eq!(login_user_id("@alice:hs.example:8448", server), alice);
    assert_eq!(login_user_id("@alice:other.example", server), None);
    assert_eq!(login_user_id("@alice", server), None);
    assert_eq!(login_user_id("", server), None);
}

#[test]
fn random_names_are_valid_and_differ() {
    let server = server_name!("hs.example");
    let one = random_user_id(server).unwrap();
    assert_eq!(one.localpart().len(), RANDOM_LENGTH);
    assert_ne!(one, random_user_id(server).unwrap());
    assert_eq!(random_device_id().len(), 10);
}
