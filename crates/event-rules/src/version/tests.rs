use ruma::RoomVersionId;

use super::RoomVersion;

#[test]
fn names_and_rules_are_those_of_ruma() {
    for version in RoomVersion::SUPPORTED {
        assert_eq!(RoomVersion::parse(version.as_str()), Some(version));
        assert_eq!(
            version.id(),
            RoomVersionId::try_from(version.as_str()).unwrap()
        );
        let theirs = version.id().rules().unwrap();
        assert_eq!(
            format!("{:?}", version.rules()),
            format!("{theirs:?}"),
            "{version}"
        );
    }
    for name in ["", "1", "2", "13", "03", "org.matrix.msc2870"] {
        assert_eq!(RoomVersion::parse(name), None, "{name}");
    }
}

#[test]
fn what_changed_when() {
    let since = |property: fn(RoomVersion) -> bool| {
        RoomVersion::SUPPORTED
            .into_iter()
            .find(|version| property(*version))
    };
    assert_eq!(
        since(RoomVersion::strict_canonical_json),
        Some(RoomVersion::V6)
    );
    assert_eq!(
        since(RoomVersion::redacts_in_content),
        Some(RoomVersion::V11)
    );
    assert_eq!(
        since(|v| !v.names_creator_in_content()),
        Some(RoomVersion::V11)
    );
    assert_eq!(
        since(RoomVersion::room_id_is_create_hash),
        Some(RoomVersion::V12)
    );
    assert_eq!(
        since(RoomVersion::privileges_creators),
        Some(RoomVersion::V12)
    );
}
