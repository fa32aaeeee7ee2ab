//! `POST /_matrix/client/v3/user/{userId}/filter`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::CreateFilter;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::filter::create_filter::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Keeps a filter; the same one again gets the same id.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    caller.must_be(&request.user_id)?;
    // By way of a value, whose keys are sorted.
    let body = serde_json::to_value(&request.filter)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let command = Command::CreateFilter(CreateFilter {
        body: body.to_string().into_bytes().into(),
    });
    let done = app
        .commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(RumaBody(Response::new(done.value)))
}
