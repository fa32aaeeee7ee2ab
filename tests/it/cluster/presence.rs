//! Presence and typing with short times, and what is left of them without Redis.

use std::time::{Duration, Instant};

use ganglion_launcher::Store;
use serde_json::{Value, json};

use crate::client::presence::{hear, hidden, path, token, told};
use crate::sandbox::{Sandbox, eventually, metric};
use crate::user::{User, enc};

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |content| content["presence"] == state
}

async fn cluster(name: &str, settings: &[(&str, &str)]) -> Sandbox {
    Sandbox::start_with(name, |options| {
        let settings = settings.iter();
        options.settings = settings
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
    })
    .await
}

fn readers(sandbox: &Sandbox) -> Vec<String> {
    let processes = sandbox.cluster.facts().processes.into_iter();
    processes.filter_map(|process| process.http_url).collect()
}

/// Two in a room, by different instances.
async fn pair(sandbox: &Sandbox) -> (User, User, String) {
    let readers = readers(sandbox);
    let alice = sandbox.user("alice").await.at(&readers[0]);
    let bob = sandbox.user("bob").await.at(&readers[1]);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    (alice, bob, room)
}

#[tokio::test]
async fn the_grades_of_absence() {
    let settings = [
        ("presence.offline_ms", "3000"),
        ("presence.refresh_ms", "1000"),
        ("presence.idle_ms", "5000"),
        ("presence.active_ms", "1500"),
    ];
    let mut sandbox = cluster("presence", &settings).await;
    let (alice, bob, _room) = pair(&sandbox).await;
    let since = token(&hidden(&bob, None).await);
    let began = Instant::now();
    // One long request keeps a device online; the user becomes idle meanwhile, and is gone after it.
    let long = async {
        let first = token(&alice.sync(None, "").await);
        let mut since = first;
        while began.elapsed() < Duration::from_secs(8) {
            let query = format!("/sync?timeout=8000&since={since}");
            since = token(&alice.get(&query).await.ok());
        }
        Instant::now()
    };
    let listening = async {
        let (content, since) = hear(&bob, &since, &alice, is("online")).await;
        assert_eq!(content["currently_active"], true);
        let inactive = |content: &Value| content["currently_active"] == false;
        let (content, since) = hear(&bob, &since, &alice, inactive).await;
        assert_eq!(content["presence"], "online");
        let (_, since) = hear(&bob, &since, &alice, is("unavailable")).await;
        let idle = began.elapsed();
        assert!(idle > Duration::from_millis(4_500), "{idle:?}");
        let (_, since) = hear(&bob, &since, &alice, is("offline")).await;
        (Instant::now(), since)
    };
    let (ended, (gone, since)) = tokio::join!(long, listening);
    let took = gone.duration_since(ended);
    println!("offline {took:?} after the last request");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let status = bob.get(&path(&alice.id)).await.ok();
    assert_eq!(status["presence"], "offline");
    assert!(status["last_active_ago"].as_i64().unwrap() > 5_000);

    // An instance that starts knows who is there.
    let body = json!({"presence": "online", "status_msg": "working"});
    alice.put(&path(&alice.id), body).await.ok();
    hear(&bob, &since, &alice, is("online")).await;
    let restarted = sandbox.cluster.facts().processes;
    let name = restarted
        .iter()
        .find(|process| process.http_url.as_deref() == Some(bob.url.as_str()))
        .map(|process| process.name.clone())
        .unwrap();
    sandbox.cluster.kill(&name).await.unwrap();
    sandbox.cluster.restart(&name).await.unwrap();
    let bob = bob.at(&readers(&sandbox)[1]);
    let knows = async || {
        alice.sync(None, "").await;
        let status = bob.get(&path(&alice.id)).await.ok();
        status["presence"] == "online" && status["status_msg"] == "working"
    };
    assert!(eventually(Duration::from_secs(10), knows).await);
    sandbox.end().await;
}

#[tokio::test]
async fn without_redis_the_status_message_is_left() {
    let mut sandbox = cluster("presence-redis", &[("presence.refresh_ms", "1000")]).await;
    let (alice, bob, room) = pair(&sandbox).await;
    let typing = format!("/rooms/{}/typing/{}", enc(&room), enc(&alice.id));
    let types = json!({"typing": true, "timeout": 60_000});
    let since = token(&hidden(&bob, None).await);
    let body = json!({"presence": "online", "status_msg": "here"});
    alice.put(&path(&alice.id), body).await.ok();
    alice.put(&typing, types.clone()).await.ok();
    let list = |news: &Value| {
        let events = &news["rooms"]["join"][&room]["ephemeral"]["events"];
        events[0]["content"]["user_ids"].as_array().map(Vec::len)
    };
    hear(&bob, &since, &alice, is("online")).await;
    let heard = async || list(&hidden(&bob, None).await) == Some(1);
    assert!(eventually(Duration::from_secs(5), heard).await);
    let before = token(&hidden(&bob, None).await);

    sandbox.cluster.kill_store(Store::Redis).await.unwrap();
    let began = Instant::now();
    alice.put(&typing, types.clone()).await.ok();
    let body = json!({"presence": "online", "status_msg": "still here"});
    alice.put(&path(&alice.id), body).await.ok();
    let took = began.elapsed();
    println!("without Redis: typing and status set in {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let kept = async || bob.get(&path(&alice.id)).await.ok()["status_msg"] == "still here";
    assert!(eventually(Duration::from_secs(5), kept).await);
    let dropped = async || {
        let mut sum = 0.0;
        for process in sandbox.cluster.facts().processes {
            let name = "ganglion_sync_soft_dropped_total";
            sum += metric(&process.admin_url, name, "typing").await;
        }
        sum >= 1.0
    };
    assert!(eventually(Duration::from_secs(10), dropped).await);

    sandbox.cluster.start_store(Store::Redis).await.unwrap();
    // The client still sees Alice type, and hears that this is over.
    let over = async || list(&hidden(&bob, Some(&before)).await) == Some(0);
    assert!(eventually(Duration::from_secs(10), over).await);
    let online = async || {
        alice.sync(None, "").await;
        alice.put(&typing, types.clone()).await.ok();
        // All of it is told to a token of the life before.
        let news = hidden(&bob, Some(&before)).await;
        told(&news, &alice).is_some_and(|content| content["status_msg"] == "still here")
            && list(&news) == Some(1)
    };
    assert!(eventually(Duration::from_secs(20), online).await);
    sandbox.end().await;
}

#[tokio::test]
async fn presence_can_be_switched_off() {
    let sandbox = cluster("presence-off", &[("presence.enabled", "false")]).await;
    let (alice, bob, _room) = pair(&sandbox).await;
    alice.sync(None, "").await;
    let body = json!({"presence": "online", "status_msg": "here"});
    alice.put(&path(&alice.id), body).await.ok();
    let status = bob.get(&path(&alice.id)).await.ok();
    assert_eq!(status, json!({"presence": "offline"}));
    let news = bob.sync(None, "").await;
    assert!(news["presence"].is_null(), "{news}");
    sandbox.end().await;
}
