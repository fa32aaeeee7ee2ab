//! Profiles: `/_matrix/client/v3/profile/{userId}` and its fields.

mod delete_field;
mod get;
mod get_field;
mod put_field;

use bytes::Bytes;
use ganglion_accounts::storage_error;
use ganglion_http_kit::Routes;
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetProfileField;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::profile::{
    delete_profile_field, get_profile, get_profile_field, set_profile_field,
};
use ruma::{OwnedUserId, UserId};
use serde_json::Value;

use crate::caller::Caller;
use crate::state::AppState;

type Fields = std::collections::BTreeMap<String, Value>;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_profile::v3::Request, _, _>(get::get);
    routes.ruma::<get_profile_field::v3::Request, _, _>(get_field::get);
    routes.ruma::<set_profile_field::v3::Request, _, _>(put_field::put);
    routes.ruma::<delete_profile_field::v3::Request, _, _>(delete_field::delete);
}

/// The user and the field that a path names.
fn path(arguments: &[String]) -> Result<(OwnedUserId, &str), MatrixError> {
    let [user, field] = arguments else {
        return Err(MatrixError::internal());
    };
    Ok((user_id(user)?, field))
}

fn user_id(text: &str) -> Result<OwnedUserId, MatrixError> {
    UserId::parse(text).map_err(|_invalid| MatrixError::invalid_param("not a user id"))
}

/// The fields of a user of this server; anybody may read them, without an account, too.
async fn fields(app: &AppState, user: &UserId) -> Result<Fields, MatrixError> {
    let barrier = app.db.barrier().await.map_err(storage_error)?;
    let fields = app.accounts.profile(&barrier, user).await?;
    fields.ok_or_else(|| MatrixError::not_found("there is no such user"))
}

/// Sets or removes a field; what is in rooms changes there, too, in the time it takes.
async fn set(
    app: &AppState,
    caller: &Caller,
    field: &str,
    value: Option<Bytes>,
) -> Result<(), MatrixError> {
    let command = Command::SetProfileField(SetProfileField {
        field: field.to_owned(),
        value,
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(())
}
