//! Two users talk.

use serde_json::json;

use crate::sandbox::shared;
use crate::user::{enc, texts};

#[tokio::test]
async fn two_users_talk() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice
        .create_room(json!({"name": "talk", "invite": [bob.id]}))
        .await;

    let invited = bob.sync(None, "").await;
    let stripped = &invited["rooms"]["invite"][&room]["invite_state"]["events"];
    let names = |event: &serde_json::Value| event["type"] == "m.room.name";
    assert!(stripped.as_array().unwrap().iter().any(names), "{stripped}");
    bob.join(&room).await.ok();
    let joined = bob.sync(invited["next_batch"].as_str(), "").await;
    assert!(
        joined["rooms"]["join"][&room]["timeline"]["limited"].is_boolean(),
        "{joined}"
    );

    let since = joined["next_batch"].as_str();
    alice.say(&room, "one").await;
    bob.say(&room, "two").await;
    alice.say(&room, "three").await;
    let news = bob.sync(since, "").await;
    let timeline = &news["rooms"]["join"][&room]["timeline"];
    assert_eq!(texts(&timeline["events"]), ["one", "two", "three"]);
    // The same token again, from the other instance, gives the same events.
    for reader in cluster.readers() {
        let again = bob.at(&reader).sync(since, "").await;
        assert_eq!(
            texts(&again["rooms"]["join"][&room]["timeline"]["events"]),
            ["one", "two", "three"]
        );
    }
    let page = bob
        .get(&format!("/rooms/{}/messages?dir=b&limit=2", enc(&room)))
        .await
        .ok();
    assert_eq!(texts(&page["chunk"]), ["three", "two"]);
}
