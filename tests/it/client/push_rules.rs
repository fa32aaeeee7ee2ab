//! Push rules: reading, changing, and how they reach other devices.

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc};

#[tokio::test]
async fn the_default_push_rules_are_read() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let rules = alice.get("/pushrules/").await.ok();
    assert_eq!(alice.get("/pushrules").await.ok(), rules);
    assert_eq!(alice.get("/pushrules/global").await.ok(), rules["global"]);
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
    assert_eq!(alice.get("/pushrules/global/").await.ok(), rules["global"]);
    let path = "/pushrules/global/override/.m.rule.master";
    assert_eq!(alice.get(path).await.ok(), rules["global"]["override"][0]);
    assert_eq!(
        alice.get(&format!("{path}/enabled")).await.ok(),
        json!({"enabled": false})
    );
    assert_eq!(
        alice.get(&format!("{path}/actions")).await.ok(),
        json!({"actions": []})
    );
    alice
        .get("/pushrules/global/override/none")
        .await
        .fails(404, "M_NOT_FOUND");
    alice
        .get("/pushrules/global/nonsense/none")
        .await
        .fails(404, "M_NOT_FOUND");
}

fn ids(rules: &Value, kind: &str) -> Vec<String> {
    let list = rules["global"][kind].as_array().cloned();
    let list = list.unwrap_or_default();
    list.iter()
        .map(|rule| rule["rule_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn delete(user: &User, path: &str) -> crate::user::Reply {
    user.call(Method::DELETE, path, None).await
}

#[tokio::test]
async fn own_rules_are_made_moved_turned_off_and_removed() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let base = "/pushrules/global/content";
    let rule = json!({"actions": ["notify"], "pattern": "cake"});
    for id in ["one", "two"] {
        alice.put(&format!("{base}/{id}"), rule.clone()).await.ok();
    }
    alice
        .put(&format!("{base}/three?after=two&before=one"), rule.clone())
        .await
        .ok();
    for reader in cluster.readers() {
        let rules = alice.at(&reader).get("/pushrules/").await.ok();
        assert_eq!(ids(&rules, "content"), ["two", "three", "one"]);
    }
    alice
        .put(&format!("{base}/two?after=one"), rule.clone())
        .await
        .ok();
    let rules = alice.get("/pushrules/").await.ok();
    assert_eq!(ids(&rules, "content"), ["three", "one", "two"]);
    let one = alice.get(&format!("{base}/one")).await.ok();
    assert_eq!(
        one,
        json!({"actions": ["notify"], "pattern": "cake", "rule_id": "one", "enabled": true, "default": false})
    );
    alice
        .put(&format!("{base}/one/enabled"), json!({"enabled": false}))
        .await
        .ok();
    let sound = json!({"actions": ["notify", {"set_tweak": "sound", "value": "beer.wav"}]});
    alice
        .put(&format!("{base}/one/actions"), sound.clone())
        .await
        .ok();
    assert_eq!(
        alice.get(&format!("{base}/one/enabled")).await.ok(),
        json!({"enabled": false})
    );
    assert_eq!(alice.get(&format!("{base}/one/actions")).await.ok(), sound);
    delete(&alice, &format!("{base}/one")).await.ok();
    alice
        .get(&format!("{base}/one"))
        .await
        .fails(404, "M_NOT_FOUND");
    // The other kinds; conditions may be left out.
    let room = alice.create_room(json!({})).await;
    let none = json!({"actions": []});
    for path in [
        "override/own".to_owned(),
        "underride/own".to_owned(),
        format!("room/{}", enc(&room)),
        format!("sender/{}", enc("@spam:elsewhere.example")),
    ] {
        let path = format!("/pushrules/global/{path}");
        alice.put(&path, none.clone()).await.ok();
        assert_eq!(alice.get(&path).await.ok()["enabled"], true);
    }
    let rules = alice.get("/pushrules/").await.ok();
    assert_eq!(ids(&rules, "override")[..2], [".m.rule.master", "own"]);
    assert_eq!(ids(&rules, "underride")[0], "own");
}

#[tokio::test]
async fn rules_of_the_server_can_be_changed_but_not_removed() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let master = "/pushrules/global/override/.m.rule.master";
    alice
        .put(&format!("{master}/enabled"), json!({"enabled": true}))
        .await
        .ok();
    let actions = json!({"actions": [{"set_tweak": "highlight"}]});
    alice
        .put(&format!("{master}/actions"), actions.clone())
        .await
        .ok();
    let rule = alice.get(master).await.ok();
    assert_eq!(
        (&rule["enabled"], &rule["default"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(rule["actions"], actions["actions"]);
    delete(&alice, master).await.fails(400, "M_INVALID_PARAM");
    alice
        .put(master, json!({"actions": []}))
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let rule = json!({"actions": ["notify"], "pattern": "x"});
    let put = |path: &str, body: &Value| {
        let path = format!("/pushrules/global/{path}");
        let (alice, body) = (&alice, body.clone());
        async move { alice.put(&path, body).await }
    };
    put("content/.own", &rule)
        .await
        .fails(400, "M_INVALID_PARAM");
    put("content/a%2Fb", &rule)
        .await
        .fails(400, "M_INVALID_PARAM");
    put("content/a%5Cb", &rule)
        .await
        .fails(400, "M_INVALID_PARAM");
    put("nonsense/a", &rule).await.fails(400, "M_INVALID_PARAM");
    put("room/a", &rule).await.fails(400, "M_INVALID_PARAM");
    put("sender/a", &rule).await.fails(400, "M_INVALID_PARAM");
    put("content/a?before=gone", &rule)
        .await
        .fails(400, "M_UNKNOWN");
    put("content/a?after=gone", &rule)
        .await
        .fails(400, "M_UNKNOWN");
    put("content/a?after=a", &rule)
        .await
        .fails(400, "M_UNKNOWN");
    put("override/a?before=.m.rule.reaction", &rule)
        .await
        .fails(400, "M_INVALID_PARAM");
    put("content/a", &json!({"pattern": "x"}))
        .await
        .fails(400, "M_BAD_JSON");
    put("content/a", &json!({"actions": []}))
        .await
        .fails(400, "M_MISSING_PARAM");
    put("override/a", &json!({"actions": ["dance"]}))
        .await
        .fails(400, "M_INVALID_PARAM");
    put(
        "override/a",
        &json!({"actions": [], "conditions": [{"kind": "event_match"}]}),
    )
    .await
    .fails(400, "M_BAD_JSON");
    let long = json!({"actions": [], "pattern": "x".repeat(1_000)});
    put("content/a", &long).await.fails(400, "M_INVALID_PARAM");
    let gone = "/pushrules/global/content/gone";
    alice.get(gone).await.fails(404, "M_NOT_FOUND");
    delete(&alice, gone).await.fails(404, "M_NOT_FOUND");
    alice
        .put(&format!("{gone}/enabled"), json!({"enabled": true}))
        .await
        .fails(404, "M_NOT_FOUND");
    alice
        .put(&format!("{gone}/actions"), json!({"actions": []}))
        .await
        .fails(404, "M_NOT_FOUND");
    alice
        .put(
            "/pushrules/global/override/.m.rule.master/enabled",
            json!({}),
        )
        .await
        .fails(400, "M_BAD_JSON");
    // Nothing of it was kept.
    assert!(ids(&alice.get("/pushrules/").await.ok(), "content").is_empty());
    let direct = format!("/user/{}/account_data/m.push_rules", enc(&alice.id));
    alice.put(&direct, json!({})).await.fails(405, "M_BAD_JSON");
}

#[tokio::test]
async fn devices_that_change_rules_at_once_lose_nothing() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    let since = phone.sync(None, "").await["next_batch"].clone();
    let rule = json!({"actions": ["notify"], "pattern": "x"});
    let readers = cluster.readers();
    let mut puts = Vec::new();
    for n in 0..20 {
        let device = if n % 2 == 0 { &alice } else { &phone };
        let device = device.at(&readers[n % readers.len()]);
        let rule = rule.clone();
        puts.push(async move {
            let path = format!("/pushrules/global/content/r{n}");
            device.put(&path, rule).await.ok();
        });
    }
    futures_util::future::join_all(puts).await;
    let rules = alice.get("/pushrules/").await.ok();
    assert_eq!(ids(&rules, "content").len(), 20);
    let news = phone.sync(since.as_str(), "").await;
    let told = news["account_data"]["events"].as_array().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["type"], "m.push_rules");
    assert_eq!(told[0]["content"], rules);
    // What changes nothing tells nothing.
    let since = news["next_batch"].as_str();
    alice
        .put(
            "/pushrules/global/content/r1/enabled",
            json!({"enabled": true}),
        )
        .await
        .ok();
    let news = phone.sync(since, "").await;
    assert!(news["account_data"].is_null(), "{news}");
}
