use proptest::prelude::*;

use super::*;

const DEFAULT: &str = "client-reader";

fn tables(routes: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (role, path) in routes {
        tables
            .entry((*role).to_owned())
            .or_default()
            .push((*path).to_owned());
    }
    tables
}

fn rules(routes: &[(&str, &str)]) -> Vec<(String, String)> {
    let rules = prefix_rules(&tables(routes), DEFAULT).unwrap();
    rules
        .into_iter()
        .map(|rule| (rule.prefix, rule.role))
        .collect()
}

fn pair(prefix: &str, role: &str) -> (String, String) {
    (prefix.to_owned(), role.to_owned())
}

#[test]
fn the_default_role_alone_needs_no_rule() {
    let routes = [
        (DEFAULT, "/_matrix/client/versions"),
        (
            DEFAULT,
            "/_matrix/client/v3/rooms/{room_id}/send/{type}/{txn_id}",
        ),
        (DEFAULT, "/"),
    ];
    assert_eq!(rules(&routes), []);
}

#[test]
fn the_roles_of_a_homeserver() {
    let routes = [
        (DEFAULT, "/_matrix/client/versions"),
        (DEFAULT, "/_matrix/client/v3/sync"),
        (DEFAULT, "/_matrix/client/v1/rooms/{room_id}/hierarchy"),
        ("media", "/_matrix/media/v3/upload"),
        ("media", "/_matrix/media/v3/download/{server}/{id}"),
        ("media", "/_matrix/client/v1/media/download/{server}/{id}"),
        ("media", "/_matrix/client/v1/media/config"),
        (
            "federation-receiver",
            "/_matrix/federation/v1/send/{txn_id}",
        ),
        (
            "federation-receiver",
            "/_matrix/federation/v2/invite/{room_id}/{event_id}",
        ),
        ("federation-receiver", "/_matrix/key/v2/server"),
    ];
    let mut found = rules(&routes);
    found.sort();
    let expected = [
        pair("/_matrix/client/v1/media", "media"),
        pair("/_matrix/federation", "federation-receiver"),
        pair("/_matrix/key/v2/server", "federation-receiver"),
        pair("/_matrix/media/v3", "media"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_placeholder_keeps_what_it_may_stand_for() {
    let routes = [
        ("media", "/m/{any}/x"),
        (DEFAULT, "/m/config/deep/route"),
        ("media", "/m/other"),
    ];
    let expected = [pair("/m/config/deep/route", DEFAULT), pair("/m", "media")];
    assert_eq!(rules(&routes), expected);
}

#[test]
fn what_prefixes_cannot_tell_apart_is_refused() {
    let routes = [("media", "/rooms/{id}/a"), (DEFAULT, "/rooms/{id}/b")];
    assert!(prefix_rules(&tables(&routes), DEFAULT).is_err());
    assert!(prefix_rules(&tables(&[("media", "/{any}")]), DEFAULT).is_err());
}

proptest! {
    #[test]
    fn every_route_reaches_its_role(
        routes in prop::collection::btree_map(
            prop::collection::vec("[abc]", 1..5),
            (0..3_usize, 0..3_usize),
            1..25,
        ),
    ) {
        // The map's keys are the literal prefixes: each has one role.
        let roles = [DEFAULT, "media", "federation-receiver"];
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (segments, (role, placeholders)) in &routes {
            let tail = "/{placeholder}/more".repeat(*placeholders);
            let path = format!("/{}{tail}", segments.join("/"));
            tables.entry(roles[*role].to_owned()).or_default().push(path);
        }
        let rules = prefix_rules(&tables, DEFAULT).unwrap();
        for (role, paths) in &tables {
            for path in paths {
                let path = path.replace("{placeholder}", "!value");
                prop_assert_eq!(role_of(&rules, DEFAULT, &path), role, "{} by {:?}", path, rules);
            }
        }
        prop_assert_eq!(role_of(&rules, DEFAULT, "/unknown/path"), DEFAULT);
        // At most one rule where some route begins; a placeholder above may need one in between.
        let places: BTreeSet<&[String]> = routes
            .keys()
            .flat_map(|segments| (1..=segments.len()).map(|end| &segments[..end]))
            .collect();
        prop_assert!(rules.len() <= places.len());
    }
}
