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

fn flow(now_ms: i64) -> Flow {
    Flow::new(
        ServerSecret::new(vec![1; 32]),
        "delete",
        "m.login.password",
        now_ms,
    )
}

fn session_of(error: &MatrixError) -> String {
    let body: serde_json::Value = serde_json::from_str(error.extra.as_deref().unwrap()).unwrap();
    assert_eq!(error.status, 401);
    assert_eq!(body["flows"], json!([{"stages": ["m.login.password"]}]));
    body["session"].as_str().unwrap().to_owned()
}

fn attempt(stage: Option<&str>, session: Option<&str>) -> Attempt {
    Attempt {
        r#type: stage.map(str::to_owned),
        session: session.map(str::to_owned),
        ..Attempt::default()
    }
}

#[test]
fn a_flow_keeps_its_session_until_it_is_over() {
    let password = Some("m.login.password");
    let asked = flow(NOW).attempt(None).unwrap_err();
    assert_eq!(asked.errcode, "", "a question, no error");
    let session = session_of(&asked);
    let tried = flow(NOW + 1)
        .attempt(Some(attempt(password, Some(&session))))
        .unwrap();
    let refused = flow(NOW + 1).refused(&tried, "M_FORBIDDEN", "wrong");
    assert_eq!(refused.errcode, "M_FORBIDDEN");
    assert_eq!(session_of(&refused), session);
    let later = flow(NOW + LIFETIME_MS);
    let over = later
        .attempt(Some(attempt(password, Some(&session))))
        .unwrap_err();
    assert_eq!(over.errcode, "M_UNAUTHORIZED");
    assert_ne!(session_of(&over), session);
    flow(NOW).attempt(Some(attempt(password, None))).unwrap();
}

#[test]
fn a_flow_refuses_other_stages() {
    let session = session_of(&flow(NOW).attempt(None).unwrap_err());
    let other = flow(NOW)
        .attempt(Some(attempt(Some("m.login.dummy"), Some(&session))))
        .unwrap_err();
    assert_eq!(other.errcode, "M_UNAUTHORIZED");
    assert_eq!(session_of(&other), session);
    let only_session = flow(NOW)
        .attempt(Some(attempt(None, Some(&session))))
        .unwrap_err();
    assert_eq!(only_session.errcode, "", "not completed, no error");
    assert_eq!(session_of(&only_session), session);
}
