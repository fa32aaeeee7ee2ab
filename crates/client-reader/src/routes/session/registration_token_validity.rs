//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ruma::api::client::account::check_registration_token_validity::v1::{Request, Response};

use crate::state::AppState;

/// Whether an account can be made with a registration token at this moment.
pub(crate) async fn get(
    State(app): State<AppState>,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    if app.config.accounts.registration == "disabled" {
        return Err(MatrixError::forbidden("registration is disabled").into());
    }
    let barrier = app.db.barrier().await.map_err(storage_error)?;
    let valid = app
        .accounts
        .registration_token_is_valid(&barrier, &request.token)
        .await?;
    Ok(RumaBody(Response::new(valid)))
}
