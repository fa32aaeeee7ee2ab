use serde_json::json;

use super::topic;

#[test]
fn a_topic_is_its_plain_text() {
    let text = |content| topic(&content).map(str::to_owned);
    let represented = |list| json!({"topic": "old", "m.topic": {"m.text": list}});
    assert_eq!(text(json!({"topic": "t"})).as_deref(), Some("t"));
    assert_eq!(text(json!({"topic": ""})), None);
    assert_eq!(text(json!({"topic": 5})), None);
    let html = json!({"mimetype": "text/html", "body": "<b>t</b>"});
    assert_eq!(text(represented(json!([html]))), None);
    assert_eq!(
        text(represented(json!([html, {"body": "plain"}]))).as_deref(),
        Some("plain")
    );
    assert_eq!(
        text(represented(
            json!([{"mimetype": "text/plain", "body": "p"}])
        ))
        .as_deref(),
        Some("p")
    );
}
