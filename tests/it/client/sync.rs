//! Client-server API, "Syncing".

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::sandbox::shared;
use crate::user::{User, enc, texts};

fn kinds(events: &Value) -> Vec<&str> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect()
}

#[tokio::test]
async fn a_long_poll_wakes_for_what_is_the_users() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let other = alice.create_room(json!({})).await;
    let wake = async |since: &str, act: &mut dyn AsyncAct| {
        let poll = bob.sync_for(since, 30_000);
        let (news, ()) = tokio::join!(poll, act.act());
        news
    };
    let start = bob.sync(None, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    // Nothing of another room, nothing at all: an empty answer after the timeout.
    alice.say(&other, "not for Bob").await;
    let began = Instant::now();
    let nothing = bob.sync_for(&start, 300).await;
    assert!(began.elapsed() >= Duration::from_millis(290));
    assert!(nothing["rooms"].is_null(), "{nothing}");
    let since = nothing["next_batch"].as_str().unwrap();

    let body = json!({"user_id": bob.id});
    let mut invite = Post(&alice, format!("/rooms/{}/invite", enc(&room)), body);
    let news = wake(since, &mut invite).await;
    assert!(news["rooms"]["invite"][&room].is_object(), "{news}");
    let since = news["next_batch"].as_str().unwrap();
    let phone = User::login(cluster.url(), &bob.id).await;
    let mut join = Post(&phone, format!("/join/{}", enc(&room)), json!({}));
    let news = wake(since, &mut join).await;
    assert!(news["rooms"]["join"][&room].is_object(), "{news}");
    let since = news["next_batch"].as_str().unwrap();
    let mut say = Say(&alice, room.clone());
    let news = wake(since, &mut say).await;
    assert_eq!(
        texts(&news["rooms"]["join"][&room]["timeline"]["events"]),
        ["wake up"]
    );
    let since = news["next_batch"].as_str().unwrap();
    let path = format!("/user/{}/account_data/org.example", enc(&bob.id));
    let mut set = Put(&phone, path, json!({"a": 1}));
    let news = wake(since, &mut set).await;
    assert_eq!(kinds(&news["account_data"]["events"]), ["org.example"]);
}

/// Something that is done while a poll waits.
trait AsyncAct {
    fn act(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>>;
}

struct Post<'a>(&'a User, String, Value);
struct Put<'a>(&'a User, String, Value);
struct Say<'a>(&'a User, String);

impl AsyncAct for Post<'_> {
    fn act(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {
            self.0.post(&self.1, self.2.clone()).await.ok();
        })
    }
}

impl AsyncAct for Put<'_> {
    fn act(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {
            self.0.put(&self.1, self.2.clone()).await.ok();
        })
    }
}

impl AsyncAct for Say<'_> {
    fn act(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {
            self.0.say(&self.1, "wake up").await;
        })
    }
}

impl User {
    async fn sync_for(&self, since: &str, timeout_ms: u32) -> Value {
        self.get(&format!("/sync?timeout={timeout_ms}&since={since}"))
            .await
            .ok()
    }
}

#[tokio::test]
async fn state_before_the_timeline_or_after_it() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({"topic": "one"})).await;
    let since = alice.sync(None, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    let topic = format!("/rooms/{}/state/m.room.topic", enc(&room));
    alice.put(&topic, json!({"topic": "two"})).await.ok();
    for n in 0..12 {
        alice.say(&room, &format!("m{n}")).await;
    }
    alice.put(&topic, json!({"topic": "three"})).await.ok();
    let topics = |events: &Value| -> Vec<String> {
        let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
        let topics = events
            .iter()
            .filter(|event| event["type"] == "m.room.topic");
        topics
            .map(|event| event["content"]["topic"].as_str().unwrap().to_owned())
            .collect()
    };
    let news = alice.sync(Some(&since), "").await;
    let joined = &news["rooms"]["join"][&room];
    assert_eq!(joined["timeline"]["limited"], true);
    assert_eq!(
        topics(&joined["state"]["events"]),
        ["two"],
        "the state where the timeline begins"
    );
    assert_eq!(topics(&joined["timeline"]["events"]), ["three"]);
    let news = alice.sync(Some(&since), "&use_state_after=true").await;
    let joined = &news["rooms"]["join"][&room];
    assert_eq!(topics(&joined["state_after"]["events"]), ["three"]);
    assert!(joined["state"].is_null(), "{joined}");
    let full = alice.sync(Some(&since), "&full_state=true").await;
    let events = kinds(&full["rooms"]["join"][&room]["state"]["events"]).len();
    assert!(events >= 6, "{events}");
}

#[tokio::test]
async fn members_are_loaded_lazily_and_once() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let mut others = Vec::new();
    for n in 0..5 {
        let user = cluster.user(&format!("m{n}")).await;
        user.join(&room).await.ok();
        others.push(user);
    }
    for n in 0..12 {
        alice.say(&room, &format!("m{n}")).await;
    }
    let lazy = format!(
        "&filter={}",
        enc(r#"{"room":{"state":{"lazy_load_members":true}}}"#)
    );
    let members = |events: &Value| -> Vec<String> {
        let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
        let members = events
            .iter()
            .filter(|event| event["type"] == "m.room.member");
        members
            .map(|event| event["state_key"].as_str().unwrap().to_owned())
            .collect()
    };
    let bob = others.remove(0);
    let first = bob.sync(None, &lazy).await;
    let known = members(&first["rooms"]["join"][&room]["state"]["events"]);
    assert!(
        known.contains(&alice.id) && known.contains(&bob.id),
        "{known:?}"
    );
    assert!(known.len() <= 7, "{known:?}");
    let summary = &first["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.joined_member_count"], 6, "{summary}");
    // A sender whom the client does not know comes with what was sent; then not again.
    let carol = others.iter().find(|user| !known.contains(&user.id));
    let Some(carol) = carol.or(others.last()) else {
        panic!("nobody")
    };
    let mut since = first["next_batch"].as_str().unwrap().to_owned();
    for expected in [!known.contains(&carol.id), false] {
        carol.say(&room, "hello").await;
        let news = bob.sync(Some(&since), &lazy).await;
        let sent = members(&news["rooms"]["join"][&room]["state"]["events"]);
        assert_eq!(sent.contains(&carol.id), expected, "{sent:?}");
        since = news["next_batch"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn left_rooms_are_told_where_they_are_wanted() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    alice.say(&room, "seen").await;
    bob.post(&format!("/rooms/{}/leave", enc(&room)), json!({}))
        .await
        .ok();
    alice.say(&room, "not seen").await;
    assert!(bob.sync(None, "").await["rooms"].is_null());
    let wanted = format!("&filter={}", enc(r#"{"room":{"include_leave":true}}"#));
    let all = bob.sync(None, &wanted).await;
    let events = &all["rooms"]["leave"][&room]["timeline"]["events"];
    assert_eq!(texts(events), ["seen"]);
    // Back again: everything of the room anew, what was missed behind prev_batch or in it.
    let since = bob.sync(None, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.join(&room).await.ok();
    let back = bob.sync(Some(&since), "").await;
    let joined = &back["rooms"]["join"][&room];
    let texts = texts(&joined["timeline"]["events"]);
    assert!(texts.contains(&"not seen".to_owned()), "{texts:?}");
    assert!(
        kinds(&joined["state"]["events"]).len() + kinds(&joined["timeline"]["events"]).len() > 8
    );
}

#[tokio::test]
async fn a_changed_summary_is_told_whatever_is_shown_of_the_timeline() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let body = json!({"preset": "public_chat", "name": "A name"});
    let room = alice.create_room(body).await;
    let filter = json!({"room": {"timeline": {"not_rooms": [room]}}});
    let filter = format!("&filter={}", enc(&filter.to_string()));
    let first = alice.sync(None, &filter).await;
    bob.join(&room).await.ok();
    let news = alice.sync(first["next_batch"].as_str(), &filter).await;
    let summary = &news["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.joined_member_count"], 2, "{news}");
    assert!(summary["m.heroes"].is_null(), "{news}");
    // Without its name the room is called by its heroes.
    let name = format!("/rooms/{}/state/m.room.name/", enc(&room));
    let name = alice.put(&name, json!({"name": "Another"})).await.ok();
    let since = alice.sync(None, "").await["next_batch"].clone();
    let name = enc(name["event_id"].as_str().unwrap());
    let redact = format!("/rooms/{}/redact/{name}/t", enc(&room));
    alice.put(&redact, json!({})).await.ok();
    let news = alice.sync(since.as_str(), "").await;
    let summary = &news["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.heroes"], json!([bob.id]), "{news}");
}

#[tokio::test]
async fn state_that_the_filter_keeps_from_the_timeline_is_in_state_after() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let filter = enc(r#"{"room":{"timeline":{"types":["m.room.message"]}}}"#);
    let query = format!("&use_state_after=true&filter={filter}");
    let first = alice.sync(None, &query).await;
    alice.say(&room, "before").await;
    let topic = format!("/rooms/{}/state/m.room.topic/", enc(&room));
    alice.put(&topic, json!({"topic": "new"})).await.ok();
    alice.say(&room, "after").await;
    let news = alice.sync(first["next_batch"].as_str(), &query).await;
    let joined = &news["rooms"]["join"][&room];
    assert_eq!(texts(&joined["timeline"]["events"]), ["before", "after"]);
    let state = &joined["state_after"]["events"];
    assert_eq!(state[0]["content"]["topic"], "new", "{news}");
}

#[tokio::test]
async fn heroes_come_with_their_members_even_without_a_timeline() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let (bob, carol) = (cluster.user("bob").await, cluster.user("carol").await);
    let filter = json!({"room": {
        "state": {"lazy_load_members": true}, "timeline": {"not_rooms": [room]},
    }});
    let filter = format!("&filter={}", enc(&filter.to_string()));
    bob.join(&room).await.ok();
    let since = alice.sync(None, "").await["next_batch"].clone();
    carol.join(&room).await.ok();
    let news = alice.sync(since.as_str(), &filter).await;
    let state = news["rooms"]["join"][&room]["state"]["events"].as_array();
    let members: Vec<&str> = state
        .unwrap()
        .iter()
        .filter_map(|event| event["state_key"].as_str())
        .collect();
    let both = [bob.id.as_str(), carol.id.as_str()];
    assert!(both.iter().all(|id| members.contains(id)), "{news}");
}

#[tokio::test]
async fn tokens_that_are_none() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    for token in ["nonsense", "s", "s_", "p1_5", &"s".repeat(5_000)] {
        alice
            .get(&format!("/sync?since={token}"))
            .await
            .fails(400, "M_INVALID_PARAM");
    }
    alice
        .get("/sync?timeout=soon")
        .await
        .fails(400, "M_INVALID_PARAM");
    alice
        .get("/sync?filter=%7Bbroken")
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn events_come_as_between_servers_for_who_asks() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    for version in ["6", "11", "12"] {
        let body = json!({"preset": "public_chat", "room_version": version});
        let room = alice.create_room(body).await;
        bob.join(&room).await.ok();
        let event = alice.say(&room, "hello").await;
        let filter = enc(r#"{"event_format":"federation","room":{"timeline":{"limit":1}}}"#);
        let all = bob.sync(None, &format!("&filter={filter}")).await;
        let joined = &all["rooms"]["join"][&room];
        let raw = &joined["timeline"]["events"][0];
        assert_eq!(raw["content"]["body"], "hello", "{raw}");
        assert_eq!(raw["room_id"], json!(room));
        assert!(raw["event_id"].is_null(), "{raw}");
        for key in ["hashes", "signatures", "unsigned"] {
            assert!(raw[key].is_object(), "{key}: {raw}");
        }
        assert!(raw["prev_events"][0].is_string() && raw["auth_events"].is_array());
        assert!(raw["depth"].is_i64());
        // Its hash is its id.
        let mut pdu = raw.clone();
        pdu.as_object_mut().unwrap().remove("unsigned");
        let pdu: ruma::CanonicalJsonObject = serde_json::from_value(pdu).unwrap();
        let rules = ruma::RoomVersionId::try_from(version)
            .unwrap()
            .rules()
            .unwrap();
        let hash = ruma::signatures::reference_hash(&pdu, &rules).unwrap();
        assert_eq!(format!("${hash}"), event);
        let state = joined["state"]["events"].as_array().unwrap();
        assert!(
            state.iter().all(|event| event["hashes"].is_object()),
            "{joined}"
        );
        let own = bob.sync(None, "").await;
        let events = &own["rooms"]["join"][&room]["timeline"]["events"];
        assert!(events[0]["hashes"].is_null(), "{events}");
    }
}
