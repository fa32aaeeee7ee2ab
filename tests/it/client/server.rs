//! Client-server API, "API standards" and "Server discovery": what anybody may ask the server.

use reqwest::Method;

use crate::sandbox::shared;
use crate::user::request;

#[tokio::test]
async fn what_the_server_is_and_where() {
    let cluster = shared().await;
    for reader in cluster.readers() {
        let get = async |path: &str| request(Method::GET, &reader, path, None, None).await.ok();
        let versions = get("/_matrix/client/versions").await;
        let list = versions["versions"].as_array().unwrap();
        assert!(list.contains(&"v1.1".into()), "{versions}");
        let told = get("/.well-known/matrix/client").await;
        let base_url = told["m.homeserver"]["base_url"].as_str().unwrap();
        // It leads to the server itself.
        assert_eq!(base_url, cluster.facts.client_url);
    }
}
