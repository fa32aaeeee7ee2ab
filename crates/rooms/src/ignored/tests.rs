use super::*;

const USER: UserNid = UserNid(7);

fn shard() -> Shard {
    Shard::users().next().unwrap()
}

fn list(user: &str) -> Arc<Ignored> {
    let content = serde_json::json!({"ignored_users": {user: {}}});
    Arc::new(Ignored::parse(content.to_string().as_bytes()))
}

#[test]
fn a_list_is_what_the_specification_says() {
    let ignored = Ignored::parse(br#"{"ignored_users":{"@b:x":{},"@a:x":5,"@\u0000:x":{}}}"#);
    assert_eq!(ignored.users(), ["@a:x", "@b:x"]);
    assert!(ignored.has("@a:x") && !ignored.has("@c:x"));
    assert_eq!(ignored.without("@a:x").users(), ["@b:x"]);
    for odd in ["", "5", "[]", "{}", r#"{"ignored_users":["@a:x"]}"#] {
        assert_eq!(Ignored::parse(odd.as_bytes()), Ignored::default(), "{odd}");
    }
}

#[test]
fn the_newest_list_stands_and_counts_only_once_the_log_is_applied() {
    let lists = Lists::new();
    lists.set(USER, 5, &list("@new:x"));
    // Read from an older view.
    lists.set(USER, 3, &list("@old:x"));
    assert_eq!(lists.get(shard(), USER, 1), None, "nothing was applied yet");
    store(&lists.applied, shard(), 6);
    let known = lists.get(shard(), USER, 6).unwrap();
    assert!(known.has("@new:x") && !known.has("@old:x"));
    assert_eq!(lists.get(shard(), USER, 7), None, "behind what is applied");
    assert_eq!(lists.get(shard(), UserNid(8), 6), None);
}
