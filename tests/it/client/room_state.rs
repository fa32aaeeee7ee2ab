//! Client-server API, "Creation" of rooms, and state events.

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc};

async fn state(user: &User, room: &str, kind: &str) -> Value {
    user.get(&format!("/rooms/{}/state/{kind}", enc(room)))
        .await
        .ok()
}

#[tokio::test]
async fn presets_and_their_overrides() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    for (preset, rule, guests) in [
        ("private_chat", "invite", "can_join"),
        ("trusted_private_chat", "invite", "can_join"),
        ("public_chat", "public", "forbidden"),
    ] {
        for version in ["11", "12"] {
            let room = alice
                .create_room(json!({
                    "preset": preset, "room_version": version, "invite": [bob.id],
                    "name": "N", "topic": "T", "creation_content": {"m.federate": false},
                    "power_level_content_override": {"events_default": 7},
                }))
                .await;
            assert_eq!(
                state(&alice, &room, "m.room.join_rules").await["join_rule"],
                rule
            );
            let access = state(&alice, &room, "m.room.guest_access").await;
            assert_eq!(access["guest_access"], guests);
            let visibility = state(&alice, &room, "m.room.history_visibility").await;
            assert_eq!(visibility["history_visibility"], "shared");
            assert_eq!(state(&alice, &room, "m.room.name").await["name"], "N");
            assert_eq!(state(&alice, &room, "m.room.topic").await["topic"], "T");
            let create = state(&alice, &room, "m.room.create").await;
            assert_eq!(create["room_version"], version);
            assert_eq!(create["m.federate"], false);
            let levels = state(&alice, &room, "m.room.power_levels").await;
            assert_eq!(levels["events_default"], 7);
            let trusted = preset == "trusted_private_chat";
            if version == "12" {
                // The creators stand above all numbers.
                assert!(levels["users"].as_object().unwrap().is_empty(), "{levels}");
                let others = if trusted {
                    json!([bob.id])
                } else {
                    Value::Null
                };
                assert_eq!(create["additional_creators"], others);
            } else {
                assert_eq!(levels["users"][&alice.id], 100);
                assert_eq!(levels["users"][&bob.id] == 100, trusted);
            }
        }
    }
}

#[tokio::test]
async fn initial_state_wins_over_the_preset_and_the_name_over_it() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let event =
        |kind: &str, content: Value| json!({"type": kind, "state_key": "", "content": content});
    let room = alice
        .create_room(json!({
            "name": "by name",
            "initial_state": [
                event("m.room.name", json!({"name": "by state"})),
                event("m.room.history_visibility", json!({"history_visibility": "joined"})),
                event("org.example.custom", json!({"any": [1, {"deep": null}]})),
            ],
        }))
        .await;
    assert_eq!(state(&alice, &room, "m.room.name").await["name"], "by name");
    let visibility = state(&alice, &room, "m.room.history_visibility").await;
    assert_eq!(visibility["history_visibility"], "joined");
    assert_eq!(
        state(&alice, &room, "org.example.custom").await["any"][1]["deep"],
        Value::Null
    );
}

#[tokio::test]
async fn every_supported_version_makes_a_room_to_talk_in() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let capabilities = alice.get("/capabilities").await.ok();
    let versions = &capabilities["capabilities"]["m.room_versions"];
    assert_eq!(versions["default"], "12");
    let versions = versions["available"].as_object().unwrap();
    assert_eq!(versions.len(), 10);
    for version in versions.keys() {
        let room = alice.create_room(json!({"room_version": version})).await;
        let event = alice.say(&room, "hello").await;
        let path = format!("/rooms/{}/event/{}", enc(&room), enc(&event));
        assert_eq!(alice.get(&path).await.ok()["content"]["body"], "hello");
    }
    let unknown = json!({"room_version": "1"});
    alice
        .post("/createRoom", unknown)
        .await
        .fails(400, "M_UNSUPPORTED_ROOM_VERSION");
}

#[tokio::test]
async fn creation_refuses_as_a_whole() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let before = alice.get("/joined_rooms").await.ok();
    let powerless = json!({"users": {&alice.id: 0}});
    for (body, status, errcode) in [
        (json!({"invite": ["nonsense"]}), 400, "M_BAD_JSON"),
        (
            json!({"initial_state": [{"type": "m.room.topic"}]}),
            400,
            "M_BAD_JSON",
        ),
        (
            json!({"power_level_content_override": {"users": {"nonsense": 5}}}),
            400,
            "M_INVALID_ROOM_STATE",
        ),
        // The creator could not name the room.
        (
            json!({"room_version": "11", "name": "N", "power_level_content_override": powerless}),
            400,
            "M_INVALID_ROOM_STATE",
        ),
        (
            json!({"room_alias_name": "with space"}),
            400,
            "M_INVALID_PARAM",
        ),
        (json!({"name": 5}), 400, "M_BAD_JSON"),
        (json!({"preset": "no_such_preset"}), 400, "M_BAD_JSON"),
        (
            json!({"invite_3pid": [{"id_server": "x.y", "id_access_token": "t", "medium": "email", "address": "a@b"}]}),
            403,
            "M_THREEPID_DENIED",
        ),
    ] {
        let refused = alice.post("/createRoom", body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert_eq!(refused.body["errcode"], errcode, "{body}: {}", refused.body);
    }
    assert_eq!(alice.get("/joined_rooms").await.ok(), before);
}

#[tokio::test]
async fn state_is_set_read_and_found_again() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let path = |kind: &str, key: &str| format!("/rooms/{}/state/{kind}/{}", enc(&room), enc(key));
    let set = alice
        .put(&path("org.example", "a/b"), json!({"v": 1}))
        .await
        .ok();
    let again = alice
        .put(&path("org.example", "a/b"), json!({"v": 1}))
        .await
        .ok();
    assert_eq!(
        set, again,
        "the same content again finds the event that is there"
    );
    let changed = alice
        .put(&path("org.example", "a/b"), json!({"v": 2}))
        .await
        .ok();
    assert_ne!(set, changed);
    assert_eq!(
        bob.get(&path("org.example", "a/b")).await.ok(),
        json!({"v": 2})
    );
    let whole = bob
        .get(&format!("{}?format=event", path("org.example", "a/b")))
        .await
        .ok();
    assert_eq!(whole["event_id"], changed["event_id"]);
    assert_eq!(whole["unsigned"]["prev_content"], json!({"v": 1}));
    assert_eq!(whole["unsigned"]["replaces_state"], set["event_id"]);
    bob.get(&path("org.example", "other"))
        .await
        .fails(404, "M_NOT_FOUND");
    bob.put(&path("org.example", "a/b"), json!({"v": 3}))
        .await
        .fails(403, "M_FORBIDDEN");
    // A key that is another's user id is that user's alone.
    let other = path("org.example", &bob.id);
    alice.put(&other, json!({})).await.fails(403, "M_FORBIDDEN");
    let all = bob.get(&format!("/rooms/{}/state", enc(&room))).await.ok();
    let kinds: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    for kind in [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "org.example",
    ] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_room_keeps_the_create_event_it_has() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let stranger = cluster.user("stranger").await;
    for version in ["11", "12"] {
        let room = alice
            .create_room(json!({"preset": "public_chat", "room_version": version}))
            .await;
        let before = state(&alice, &room, "m.room.create").await;
        let content = json!({"room_version": version, "creator": stranger.id, "more": 1});
        for user in [&alice, &stranger] {
            for path in [
                "state/m.room.create",
                "state/m.room.create/key",
                "send/m.room.create/1",
            ] {
                let path = format!("/rooms/{}/{path}", enc(&room));
                let reply = user.put(&path, content.clone()).await;
                reply.fails(400, "M_INVALID_PARAM");
            }
        }
        assert_eq!(state(&alice, &room, "m.room.create").await, before);
    }
    let second = json!({"type": "m.room.create", "content": {}});
    let reply = alice
        .post("/createRoom", json!({"initial_state": [second]}))
        .await;
    reply.fails(400, "M_INVALID_ROOM_STATE");
}

#[tokio::test]
async fn nobody_may_give_a_creator_a_level() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let levels = |user: &User| json!({"users": {&user.id: 100}});
    let room = alice
        .create_room(json!({"room_version": "12", "preset": "public_chat"}))
        .await;
    bob.join(&room).await.ok();
    let path = format!("/rooms/{}/state/m.room.power_levels", enc(&room));
    // Not a question of who asks: what is asked for is wrong.
    for user in [&alice, &bob] {
        user.put(&path, levels(&alice))
            .await
            .fails(400, "M_INVALID_PARAM");
    }
    bob.put(&path, levels(&bob)).await.fails(403, "M_FORBIDDEN");
    alice.put(&path, levels(&bob)).await.ok();
}

#[tokio::test]
async fn a_canonical_alias_must_lead_here() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let name = format!("alias-{:08x}", rand::random::<u32>());
    let room = alice.create_room(json!({"room_alias_name": name})).await;
    let alias = format!("#{name}:localhost");
    assert_eq!(
        state(&alice, &room, "m.room.canonical_alias").await["alias"],
        alias
    );
    let path = format!("/rooms/{}/state/m.room.canonical_alias", enc(&room));
    let set = async |content: Value| alice.put(&path, content).await;
    set(json!({"alt_aliases": [alias]})).await.ok();
    set(json!({"alias": "#nowhere-at-all:localhost"}))
        .await
        .fails(400, "M_BAD_ALIAS");
    set(json!({"alias": "nonsense"}))
        .await
        .fails(400, "M_INVALID_PARAM");
    set(json!({"alt_aliases": ["#nowhere-at-all:localhost"]}))
        .await
        .fails(400, "M_BAD_ALIAS");
    set(json!({"alt_aliases": [alias, "nonsense"]}))
        .await
        .fails(400, "M_INVALID_PARAM");
    let elsewhere = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/state/m.room.canonical_alias", enc(&elsewhere));
    alice
        .put(&path, json!({"alias": alias}))
        .await
        .fails(400, "M_BAD_ALIAS");
}

#[tokio::test]
async fn members_are_chosen_by_membership() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let (carol, dave) = (cluster.user("carol").await, cluster.user("dave").await);
    let body = json!({"preset": "public_chat", "invite": [carol.id]});
    let room = alice.create_room(body).await;
    bob.join(&room).await.ok();
    dave.join(&room).await.ok();
    let leave = format!("/rooms/{}/leave", enc(&room));
    dave.post(&leave, json!({})).await.ok();
    let members = async |query: &str| {
        let path = format!("/rooms/{}/members?{query}", enc(&room));
        let chunk = alice.get(&path).await.ok()["chunk"].clone();
        let keys = chunk.as_array().unwrap().iter();
        let mut keys: Vec<String> = keys
            .map(|event| event["state_key"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    let ids = |users: &[&User]| {
        let mut ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
        ids.sort();
        ids
    };
    for (query, wanted) in [
        ("", ids(&[&alice, &bob, &carol, &dave])),
        ("membership=join", ids(&[&alice, &bob])),
        ("not_membership=join", ids(&[&carol, &dave])),
        ("membership=ban", ids(&[])),
        // Either of them.
        (
            "membership=join&not_membership=leave",
            ids(&[&alice, &bob, &carol]),
        ),
        (
            "membership=leave&not_membership=join",
            ids(&[&carol, &dave]),
        ),
    ] {
        assert_eq!(members(query).await, wanted, "{query}");
    }
    for query in ["membership=nonsense", "not_membership=", "at=nonsense"] {
        let path = format!("/rooms/{}/members?{query}", enc(&room));
        alice.get(&path).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_page_starts_with_the_token_it_was_asked_with() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let since = alice.sync(None, "").await["next_batch"].clone();
    let since = since.as_str().unwrap();
    let path = format!("/rooms/{}/messages?dir=b&from={since}", enc(&room));
    assert_eq!(alice.get(&path).await.ok()["start"], since);
}

#[tokio::test]
async fn content_of_any_shape_breaks_no_read() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    for content in [
        json!({"allow": "*", "deny": 5, "allow_ip_literals": "no"}),
        json!({"allow": [5, {}], "deny": [null]}),
        json!({"allow": []}),
        json!({}),
    ] {
        for kind in [
            "m.room.server_acl",
            "m.room.name",
            "m.room.topic",
            "m.room.avatar",
        ] {
            let path = format!("/rooms/{}/state/{kind}", enc(&room));
            alice.put(&path, content.clone()).await.ok();
            assert_eq!(alice.get(&path).await.ok(), content);
        }
        for path in ["state", "messages?dir=b", "members", "joined_members"] {
            alice
                .get(&format!("/rooms/{}/{path}", enc(&room)))
                .await
                .ok();
        }
        let all = alice.sync(None, "").await;
        assert!(all["rooms"]["join"][&room].is_object());
        bob.get_v1(&format!("/room_summary/{}", enc(&room)))
            .await
            .ok();
        bob.get_v1(&format!("/rooms/{}/hierarchy", enc(&room)))
            .await
            .ok();
    }
}

#[tokio::test]
async fn a_stranger_reads_nothing() {
    let cluster = shared().await;
    let (alice, eve) = (cluster.user("alice").await, cluster.user("eve").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let event = alice.say(&room, "hello").await;
    for place in [&room, "!unknown:localhost"] {
        for path in [
            "state",
            "state/m.room.create",
            "state/org.example/key",
            "members",
            "joined_members",
            "messages?dir=b",
            "aliases",
        ] {
            let path = format!("/rooms/{}/{path}", enc(place));
            eve.get(&path).await.fails(403, "M_FORBIDDEN");
        }
        let path = format!("/rooms/{}/event/{}", enc(place), enc(&event));
        eve.get(&path).await.fails(404, "M_NOT_FOUND");
    }
    let path = format!("/rooms/{}/event/$unknown", enc(&room));
    alice.get(&path).await.fails(404, "M_NOT_FOUND");
    for (query, errcode) in [
        ("", "M_MISSING_PARAM"),
        ("?dir=up", "M_INVALID_PARAM"),
        ("?dir=b&from=nonsense", "M_INVALID_PARAM"),
    ] {
        let path = format!("/rooms/{}/messages{query}", enc(&room));
        alice.get(&path).await.fails(400, errcode);
    }
}
