use super::*;

fn cheap() -> Passwords {
    Passwords::new(64, 1, 1).unwrap()
}

#[tokio::test]
async fn only_the_right_password_fits() {
    let passwords = cheap();
    let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
    assert!(
        stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"),
        "{stored}"
    );
    let verify = |password: &str, stored: Option<&str>| {
        let (passwords, password) = (passwords.clone(), password.to_owned());
        let stored = stored.map(str::to_owned);
        async move { passwords.verify(password, stored).await.unwrap() }
    };
    assert!(verify("correct horse", Some(&stored)).await);
    assert!(!verify("correct house", Some(&stored)).await);
    assert!(!verify("", None).await, "nobody's hash lets nobody in");
    assert!(!verify("x", Some("not a hash")).await);
    assert!(!verify(&"x".repeat(513), Some(&stored)).await);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let passwords = cheap();
    let taken = passwords.0.places.try_acquire_many(16).unwrap();
    let error = passwords.hash("x".to_owned()).await.unwrap_err();
    assert_eq!(
        (error.status, error.errcode.as_str()),
        (429, "M_LIMIT_EXCEEDED")
    );
    drop(taken);
    passwords.hash("x".to_owned()).await.unwrap();
}

#[test]
fn weak_passwords_are_refused() {
    assert!(check_strength("12345678", &long(8)).is_ok());
    assert_eq!(
        check_strength("1234567", &long(8)).unwrap_err().errcode,
        "M_WEAK_PASSWORD"
    );
    assert!(
        check_strength("ééééé", &long(5)).is_ok(),
        "characters count, not bytes"
    );
    assert_eq!(
        check_strength(&"x".repeat(513), &long(8))
            .unwrap_err()
            .errcode,
        "M_INVALID_PARAM"
    );
}

fn long(password_min_length: usize) -> ganglion_config::Accounts {
    ganglion_config::Accounts {
        password_min_length,
        ..Default::default()
    }
}

#[test]
fn classes_of_characters_may_be_asked_for() {
    let strict = ganglion_config::Accounts {
        password_require_digit: true,
        password_require_lowercase: true,
        password_require_uppercase: true,
        password_require_symbol: true,
        ..long(4)
    };
    for weak in ["aB-d", "aB1d", "ab-1", "AB-1"] {
        let error = check_strength(weak, &strict).unwrap_err();
        assert_eq!(error.errcode, "M_WEAK_PASSWORD", "{weak}");
    }
    assert!(check_strength("aB-1", &strict).is_ok());
    assert!(check_strength("éÉ 1", &strict).is_ok());
    assert!(check_strength("aaaa", &long(4)).is_ok());
}
