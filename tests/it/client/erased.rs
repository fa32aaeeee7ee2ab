//! Users who wished to be erased.

use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::{eventually, shared};
use crate::user::{PASSWORD, User, enc, texts};

async fn deactivate(user: &User, erase: bool) {
    let auth = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.user", "user": user.id},
    });
    let body = json!({"erase": erase, "auth": auth});
    user.post("/account/deactivate", body).await.ok();
}

/// The texts that a user finds in a room, by every way of reading.
async fn found(user: &User, room: &str, event: &str) -> Vec<Vec<String>> {
    let get = async |path: &str| user.get(&format!("/rooms/{}/{path}", enc(room))).await.ok();
    let page = get("messages?dir=b&limit=100").await;
    let forward = get("messages?dir=f&limit=100").await;
    let context = get(&format!("context/{}", enc(event))).await;
    let single = get(&format!("event/{}", enc(event))).await;
    let filter = enc(r#"{"room":{"timeline":{"limit":100}}}"#);
    let all = user.sync(None, &format!("&filter={filter}")).await;
    let timeline = &all["rooms"]["join"][room]["timeline"]["events"];
    let mut found = vec![
        texts(&page["chunk"]),
        texts(&forward["chunk"]),
        texts(&json!([context["event"]])),
        texts(&json!([single])),
        texts(timeline),
    ];
    found.iter_mut().for_each(|texts| texts.sort());
    found
}

#[tokio::test]
async fn who_comes_later_is_served_redacted_copies() {
    let cluster = shared().await;
    let (gone, left) = (cluster.user("gone").await, cluster.user("left").await);
    let (bob, between) = (cluster.user("bob").await, cluster.user("between").await);
    let (late, later) = (cluster.user("late").await, cluster.user("later").await);
    let room = bob.create_room(json!({"preset": "public_chat"})).await;
    for user in [&gone, &left] {
        user.join(&room).await.ok();
    }
    let secret = gone.say(&room, "secret").await;
    let edit = gone.relate(&room, "m.replace", &secret, "edited").await;
    left.say(&room, "stays").await;
    between.join(&room).await.ok();
    deactivate(&gone, true).await;
    deactivate(&left, false).await;
    for (at, user) in [&late, &later].into_iter().enumerate() {
        let readers = cluster.readers();
        let user = user.at(&readers[at % readers.len()]);
        user.join(&room).await.ok();
        let none: Vec<String> = Vec::new();
        let rest = vec!["stays".to_owned()];
        let wanted = [&rest, &rest, &none, &none, &rest];
        for (found, wanted) in found(&user, &room, &secret).await.iter().zip(wanted) {
            assert_eq!(found, wanted);
        }
        let path = format!("/rooms/{}/event/{}", enc(&room), enc(&secret));
        let copy = user.get(&path).await.ok();
        assert_eq!(copy["content"], json!({}), "{copy}");
        assert_eq!(copy["sender"], json!(gone.id));
        assert!(!copy.to_string().contains("edited"), "{copy}");
        let path = format!("/rooms/{}/relations/{}", enc(&room), enc(&secret));
        let children = user.get_v1(&path).await.ok();
        assert_eq!(children["chunk"][0]["event_id"], json!(edit));
        assert_eq!(children["chunk"][0]["content"], json!({}), "{children}");
    }
    // Who was there before, and who could read it before, still does.
    for user in [&bob, &between] {
        for found in found(user, &room, &secret).await {
            assert!(found.contains(&"secret".to_owned()), "{found:?}");
        }
    }
}

#[tokio::test]
async fn the_rooms_state_stays_what_it_is() {
    let cluster = shared().await;
    let (gone, bob) = (cluster.user("gone").await, cluster.user("bob").await);
    let room = gone
        .create_room(json!({"preset": "public_chat", "name": "Attic"}))
        .await;
    deactivate(&gone, true).await;
    bob.join(&room).await.ok();
    let member = format!(
        "/rooms/{}/state/m.room.member/{}",
        enc(&room),
        enc(&gone.id)
    );
    let has_left = async || bob.get(&member).await.ok()["membership"] == "leave";
    assert!(eventually(Duration::from_secs(20), has_left).await);
    let path = format!("/rooms/{}/state/m.room.name?format=event", enc(&room));
    assert_eq!(
        bob.get(&path).await.ok()["content"],
        json!({"name": "Attic"})
    );
    let page = format!("/rooms/{}/messages?dir=b&limit=100", enc(&room));
    let page = bob.get(&page).await.ok();
    let named = |event: &&Value| event["type"] == "m.room.name";
    let name = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .find(named)
        .unwrap();
    assert_eq!(name["content"]["name"], "Attic");
}
