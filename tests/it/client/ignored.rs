//! Users who are ignored.

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc, texts};

async fn ignore(user: &User, ignored: &[&User]) {
    let list: serde_json::Map<String, Value> = ignored
        .iter()
        .map(|user| (user.id.clone(), json!({})))
        .collect();
    let path = format!("/user/{}/account_data/m.ignored_user_list", enc(&user.id));
    user.put(&path, json!({"ignored_users": list})).await.ok();
}

/// A `/sync` that waits.
async fn waiting(user: &User, since: &Value) -> Value {
    let since = since.as_str().unwrap();
    user.get(&format!("/sync?timeout=300&since={since}"))
        .await
        .ok()
}

fn timeline(sync: &Value, room: &str) -> Value {
    sync["rooms"]["join"][room]["timeline"]["events"].clone()
}

#[tokio::test]
async fn what_an_ignored_user_says_is_not_sent() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let power = format!("/rooms/{}/state/m.room.power_levels", enc(&room));
    bob.join(&room).await.ok();
    let levels = alice.get(&power).await.ok();
    let mut levels = levels.clone();
    levels["users"][&bob.id] = json!(50);
    alice.put(&power, levels).await.ok();
    let mut since = alice.sync(None, "").await["next_batch"].clone();
    for (at, reader) in cluster.readers().iter().enumerate() {
        let alice = alice.at(reader);
        ignore(&alice, &[&bob]).await;
        let hidden = bob.say(&room, "hidden").await;
        let name = format!("/rooms/{}/state/m.room.name", enc(&room));
        bob.put(&name, json!({"name": format!("name {at}")}))
            .await
            .ok();
        let own = alice.say(&room, "own").await;
        let news = alice.sync(since.as_str(), "").await;
        let events = timeline(&news, &room);
        assert_eq!(texts(&events), ["own"], "{news}");
        let named = events.as_array().unwrap().iter();
        let named = named.filter(|event| event["type"] == "m.room.name").count();
        assert_eq!(named, 1, "state is sent all the same: {news}");
        since = news["next_batch"].clone();
        let all = alice.sync(None, "").await;
        assert!(!texts(&timeline(&all, &room)).contains(&"hidden".to_owned()));
        let get = async |path: &str| alice.get(&format!("/rooms/{}/{path}", enc(&room))).await;
        let page = get("messages?dir=b&limit=50").await.ok();
        assert!(!texts(&page["chunk"]).contains(&"hidden".to_owned()));
        let context = get(&format!("context/{}", enc(&own))).await.ok();
        assert!(!texts(&context["events_before"]).contains(&"hidden".to_owned()));
        for path in ["event", "context"] {
            let reply = get(&format!("{path}/{}", enc(&hidden))).await;
            reply.fails(404, "M_NOT_FOUND");
        }
        // Others see it.
        let path = format!("/rooms/{}/event/{}", enc(&room), enc(&hidden));
        bob.get(&path).await.ok();
        ignore(&alice, &[]).await;
        alice.get(&path).await.ok();
        bob.say(&room, "again").await;
        let news = alice.sync(since.as_str(), "").await;
        assert_eq!(texts(&timeline(&news, &room)), ["again"], "{news}");
        since = news["next_batch"].clone();
    }
}

#[tokio::test]
async fn an_ignored_user_does_not_wake_and_invites_in_vain() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = bob.create_room(json!({"preset": "private_chat"})).await;
    ignore(&alice, &[&bob]).await;
    let since = alice.sync(None, "").await["next_batch"].clone();
    let invite = format!("/rooms/{}/invite", enc(&room));
    bob.post(&invite, json!({"user_id": alice.id})).await.ok();
    let news = waiting(&alice, &since).await;
    assert!(news["rooms"].is_null(), "{news}");
    let all = alice.sync(None, "").await;
    assert!(all["rooms"]["invite"].is_null(), "{all}");
    // Never mind: the invitation holds.
    alice.join(&room).await.ok();
    let since = alice.sync(None, "").await["next_batch"].clone();
    bob.say(&room, "hidden").await;
    let news = waiting(&alice, &since).await;
    assert!(timeline(&news, &room).is_null(), "{news}");
    // One's own words are always there, and a list that is none ignores nobody.
    ignore(&alice, &[&alice, &bob]).await;
    alice.say(&room, "own").await;
    let news = alice.sync(news["next_batch"].as_str(), "").await;
    assert_eq!(texts(&timeline(&news, &room)), ["own"], "{news}");
    let path = format!("/user/{}/account_data/m.ignored_user_list", enc(&alice.id));
    alice
        .put(&path, json!({"ignored_users": [bob.id]}))
        .await
        .ok();
    bob.say(&room, "heard").await;
    let news = alice.sync(news["next_batch"].as_str(), "").await;
    assert_eq!(texts(&timeline(&news, &room)), ["heard"], "{news}");
}
