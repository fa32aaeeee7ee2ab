//! User-interactive authentication of a caller by password.

use ganglion_accounts::uia::{Attempt, Flow, Identifier};
use ganglion_accounts::usernames::login_user_id;
use ganglion_model::MatrixError;

use crate::caller::Caller;
use crate::limits::PasswordCheck;
use crate::state::AppState;

/// Lets the caller pass who has submitted their own password.
///
/// `purpose` names the endpoint and, where there is one, its object: a session is for one caller and
/// one purpose.
///
/// # Errors
/// 401 with the flow while the password is missing or wrong; 403 for one said to be another user's.
pub(crate) async fn by_password(
    app: &AppState,
    caller: &Caller,
    purpose: &str,
    auth: Option<Attempt>,
) -> Result<(), MatrixError> {
    let purpose = format!("{purpose}/{}", caller.user_id);
    let now_ms = app.clock.now_ms();
    let flow = Flow::new(app.secret.clone(), &purpose, "m.login.password", now_ms);
    let attempt = flow.attempt(auth)?;
    let name = user_name(attempt.identifier.as_ref(), attempt.user.as_ref())?;
    let password = attempt
        .password
        .clone()
        .ok_or_else(|| missing("password"))?;
    // No second attempt could succeed, whatever the password: whose account it is, is settled.
    if name.is_some_and(|name| !is_caller(app, caller, name)) {
        return Err(MatrixError::forbidden("this is another user's account"));
    }
    let account = app
        .accounts
        .account(&caller.barrier, &caller.user_id)
        .await?;
    let stored = account.and_then(|account| account.password_hash);
    let check = PasswordCheck::of_caller(app, caller)?;
    let fits = app.passwords.verify(password, stored).await?;
    if fits && name.is_some() {
        check.passed(app);
        return Ok(());
    }
    Err(flow.refused(&attempt, "M_FORBIDDEN", "wrong user name or password"))
}

fn is_caller(app: &AppState, caller: &Caller, name: &str) -> bool {
    login_user_id(name, &app.server_name).as_ref() == Some(&caller.user_id)
}

/// Whom a password is said to belong to; `None` if it cannot be one of ours, as no third-party
/// identifier is bound to an account here.
pub(super) fn user_name<'a>(
    identifier: Option<&'a Identifier>,
    user: Option<&'a String>,
) -> Result<Option<&'a String>, MatrixError> {
    let name = match identifier {
        Some(identifier) => match identifier.r#type.as_str() {
            "m.id.user" => identifier.user.as_ref(),
            "m.id.thirdparty" | "m.id.phone" => return Ok(None),
            _ => {
                let message = "there is no such type of identifier here";
                return Err(MatrixError::new(400, "M_UNKNOWN", message));
            }
        },
        None => user,
    };
    name.map(Some).ok_or_else(|| missing("identifier"))
}

pub(super) fn missing(key: &str) -> MatrixError {
    MatrixError::bad_json(format!("`{key}` is missing"))
}
