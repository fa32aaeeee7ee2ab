//! `GET /_matrix/client/v3/register/available`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_accounts::usernames::new_user_id;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ruma::api::client::account::get_username_availability::v3::{Request, Response};

use super::register::must_be_free;
use crate::state::AppState;

/// Whether an account of this name can be made at this moment.
pub(crate) async fn get(
    State(app): State<AppState>,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let user_id = new_user_id(&request.username, &app.server_name)?;
    let barrier = app.db.barrier().await.map_err(storage_error)?;
    must_be_free(&app, &barrier, &user_id).await?;
    Ok(RumaBody(Response::new(true)))
}
