//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, RawRequest, RumaBody};
use ganglion_proto::persister::PutPushRule;
use ganglion_proto::persister::change_push_rule::Change;
use http::Uri;
use ruma::api::client::push::set_pushrule::v3::Response;
use ruma::push::RuleKind;

use crate::caller::Caller;
use crate::state::AppState;

/// Adds a push rule, or replaces what it says. (ruma's request would demand `conditions`.)
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    uri: Uri,
    request: RawRequest,
) -> Result<RumaBody<Response>, ApiError> {
    let [kind, rule_id] = request.arguments.as_slice() else {
        return Err(ganglion_model::MatrixError::internal().into());
    };
    let query = uri.query().unwrap_or_default().as_bytes();
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query);
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        Some(value.into_owned())
    };
    let change = Change::Put(PutPushRule {
        before: value("before"),
        after: value("after"),
        body: request.body.into(),
    });
    super::change(
        &app,
        &caller,
        (&RuleKind::from(kind.as_str()), rule_id),
        change,
    )
    .await?;
    Ok(RumaBody(Response::new()))
}
