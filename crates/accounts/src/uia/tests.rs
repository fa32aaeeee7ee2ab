use super::*;

const NOW: i64 = 1_700_000_000_000;

fn sessions(secret: u8, purpose: &str) -> Sessions {
    Sessions::new(ServerSecret::new(vec![secret; 32]), purpose)
}

#[test]
fn any_instance_knows_a_session_until_it_ends() {
    let session = sessions(1, "register").begin(NOW);
    let other_instance = sessions(1, "register");
    assert!(other_instance.is_live(&session, NOW));
    assert!(other_instance.is_live(&session, NOW + LIFETIME_MS - 1));
    assert!(!other_instance.is_live(&session, NOW + LIFETIME_MS));
}

#[test]
fn nobody_else_makes_one() {
    let session = sessions(1, "register").begin(NOW);
    assert!(!sessions(2, "register").is_live(&session, NOW));
    assert!(!sessions(1, "delete-device").is_live(&session, NOW));
    let mut bytes = URL_SAFE_NO_PAD.decode(&session).unwrap();
    bytes[0] ^= 1;
    assert!(!sessions(1, "register").is_live(&URL_SAFE_NO_PAD.encode(&bytes), NOW));
    let cut = session.get(1..).unwrap();
    for text in ["", "?", "AAAA", cut, &format!("{session}AA")] {
        assert!(!sessions(1, "register").is_live(text, NOW), "{text}");
    }
}

#[test]
fn sessions_differ() {
    let sessions = sessions(1, "register");
    assert_ne!(sessions.begin(NOW), sessions.begin(NOW));
}
