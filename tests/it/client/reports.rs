//! Client-server API, "Reporting content".

use serde_json::json;

use crate::sandbox::{shared, tool};
use crate::user::enc;

#[tokio::test]
async fn reports_are_kept_for_the_operator() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let event = alice.say(&room, "something bad").await;
    let on_event = format!("/rooms/{}/report/{}", enc(&room), enc(&event));
    let on_room = format!("/rooms/{}/report", enc(&room));
    let on_user = format!("/users/{}/report", enc(&alice.id));
    // An event only by who is in its room; the room and the user by anybody.
    let because = |why: &str| json!({"reason": why});
    bob.post(&on_event, because("no"))
        .await
        .fails(404, "M_NOT_FOUND");
    bob.post(&on_room, because("the room")).await.ok();
    bob.post(&on_user, because("the user\nin two lines"))
        .await
        .ok();
    bob.join(&room).await.ok();
    let with_score = json!({"reason": "the event", "score": -100});
    assert_eq!(bob.post(&on_event, with_score).await.ok(), json!({}));
    bob.post(&on_event, json!({})).await.ok();
    let path = format!("/rooms/{}/leave", enc(&room));
    bob.post(&path, json!({})).await.ok();
    bob.post(&on_event, because("too late"))
        .await
        .fails(404, "M_NOT_FOUND");

    let listed = tool(&cluster.cluster, &["reports", "list", "--limit", "1000"]);
    let ours: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains(&bob.id))
        .collect();
    assert_eq!(ours.len(), 4, "{listed}");
    let has = |parts: &[&str]| {
        ours.iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    };
    assert!(has(&[&room, &event, r#""the event""#]), "{listed}");
    assert!(has(&[&room, r#""the room""#]), "{listed}");
    assert!(has(&[&alice.id, r#""the user\nin two lines""#]), "{listed}");
    assert!(!listed.contains("too late"), "{listed}");
}

#[tokio::test]
async fn a_report_does_not_tell_what_exists() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let because = json!({"reason": "who knows"});
    for path in [
        "/rooms/!nowhere:localhost/report",
        "/users/@nobody:localhost/report",
    ] {
        assert_eq!(alice.post(path, because.clone()).await.ok(), json!({}));
    }
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/report/$nothing", enc(&room));
    alice
        .post(&path, because.clone())
        .await
        .fails(404, "M_NOT_FOUND");
    let path = "/rooms/!nowhere:localhost/report/$nothing";
    alice.post(path, because).await.fails(404, "M_NOT_FOUND");
    let listed = tool(&cluster.cluster, &["reports", "list", "--limit", "1000"]);
    let ours = listed.lines().filter(|line| line.contains(&alice.id));
    assert_eq!(
        ours.filter(|line| line.contains("not known here")).count(),
        2
    );
}

#[tokio::test]
async fn a_report_refuses() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    for path in [
        format!("/rooms/{}/report", enc(&room)),
        format!("/users/{}/report", enc(&alice.id)),
    ] {
        alice.post(&path, json!({})).await.fails(400, "M_BAD_JSON");
        alice
            .post(&path, json!({"reason": 5}))
            .await
            .fails(400, "M_BAD_JSON");
        let long = json!({"reason": "x".repeat(10_000)});
        alice.post(&path, long).await.fails(413, "M_TOO_LARGE");
        let nul = json!({"reason": "\u{0}"});
        alice.post(&path, nul).await.fails(400, "M_INVALID_PARAM");
        alice.post(&path, json!({"reason": ""})).await.ok();
    }
}
