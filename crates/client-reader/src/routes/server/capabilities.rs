//! `GET /_matrix/client/v3/capabilities`

use axum::extract::State;
use ganglion_accounts::UserKind;
use ganglion_event_rules::RoomVersion;
use ganglion_http_kit::JsonBytes;
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::state::AppState;

/// What the server can do.
pub(crate) async fn get(State(app): State<AppState>, caller: Caller) -> JsonBytes {
    let available: Map<String, Value> = RoomVersion::SUPPORTED
        .into_iter()
        .map(|version| (version.as_str().to_owned(), Value::from("stable")))
        .collect();
    let mut body = json!({"capabilities": {
        "m.room_versions": {"default": app.config.rooms.default_version, "available": available},
        "m.change_password": {"enabled": true},
        "m.set_displayname": {"enabled": true},
        "m.set_avatar_url": {"enabled": true},
        "m.profile_fields": {"enabled": true},
        "m.3pid_changes": {"enabled": false},
        "m.get_login_token": {"enabled": app.config.accounts.login_tokens},
    }});
    if caller.kind == UserKind::Administrator {
        body["capabilities"]["m.account_moderation"] = json!({"suspend": true, "lock": true});
    }
    JsonBytes(body.to_string().into_bytes())
}
