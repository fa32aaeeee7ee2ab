use super::{KeyError, SigningKey};

const SPEC_LINE: &str = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

#[test]
fn a_line_is_read_and_written() {
    let key = SigningKey::parse(SPEC_LINE).unwrap();
    assert_eq!(
        key.to_secret_line(),
        SPEC_LINE.replace("XA1", "XA0"),
        "without stray bits"
    );
    assert_eq!(key.key_id(), "ed25519:1");
    assert_eq!(
        key.public_base64(),
        "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
    );
    assert_eq!(format!("{key:?}"), "SigningKey(ed25519:1)");
    let padded = SigningKey::parse(&format!("{SPEC_LINE}=\n")).unwrap();
    assert_eq!(padded.to_secret_line(), key.to_secret_line());
    let made = SigningKey::from_seed("a_1", [7; 32]).unwrap();
    let again = SigningKey::parse(&made.to_secret_line()).unwrap();
    assert_eq!(again.public_base64(), made.public_base64());
}

#[test]
fn errors_name_what_is_wrong() {
    let bad_version = SPEC_LINE.replace(" 1 ", " a:b ");
    for (line, error) in [
        ("", KeyError::Line),
        ("ed25519 1", KeyError::Line),
        ("ed25519 1 AAAA x", KeyError::Line),
        ("rsa 1 AAAA", KeyError::Algorithm),
        (bad_version.as_str(), KeyError::Version),
        ("ed25519 1 AAAA", KeyError::Seed),
        ("ed25519 1 !", KeyError::Seed),
    ] {
        assert_eq!(SigningKey::parse(line).err(), Some(error), "{line}");
    }
}
