//! The administration's endpoints: `/_matrix/client/v1/admin/...`

mod lock;
mod suspend;

use ganglion_accounts::UserKind;
use ganglion_http_kit::Routes;
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetStanding;
use ganglion_proto::persister::user_command::Command;
use ganglion_storage::accounts::{ADMINISTRATOR, AccountRecord};
use ruma::UserId;
use ruma::api::client::admin::{is_user_locked, is_user_suspended, lock_user, suspend_user};

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<is_user_locked::v1::Request, _, _>(lock::get);
    routes.ruma::<lock_user::v1::Request, _, _>(lock::put);
    routes.ruma::<is_user_suspended::v1::Request, _, _>(suspend::get);
    routes.ruma::<suspend_user::v1::Request, _, _>(suspend::put);
}

/// The account that an administrator asks about. Nobody else learns which accounts there are.
async fn account(
    app: &AppState,
    caller: &Caller,
    user: &UserId,
) -> Result<AccountRecord, MatrixError> {
    if caller.kind != UserKind::Administrator {
        return Err(MatrixError::forbidden("you are not an administrator"));
    }
    if user.server_name() != app.server_name {
        return Err(MatrixError::invalid_param("not a user of this server"));
    }
    let account = app.accounts.account(&caller.barrier, user).await?;
    let account = account
        .filter(|account| !account.deactivated)
        .ok_or_else(|| MatrixError::not_found("there is no such account"))?;
    if account.kind == ADMINISTRATOR && caller.user_id != user {
        return Err(MatrixError::forbidden("this is another administrator"));
    }
    Ok(account)
}

/// Changes how the account of another who is no administrator stands.
async fn set_standing(
    app: &AppState,
    caller: &Caller,
    user: &UserId,
    set: SetStanding,
) -> Result<(), MatrixError> {
    account(app, caller, user).await?;
    if caller.user_id == user {
        return Err(MatrixError::forbidden("this is your own account"));
    }
    tracing::info!(user.id = %user, administrator = %caller.user_id,
        locked = set.locked, suspended = set.suspended, "an account's standing is set");
    let command = Command::SetStanding(SetStanding {
        by_administrator: true,
        ..set
    });
    app.commands
        .user(user, CommandId::random(), command)
        .await?;
    Ok(())
}
