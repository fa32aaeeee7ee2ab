//! Reporting content (client-server API, "Reporting content"). Reports are kept for the operator.

mod event;
mod room;
mod user;

use ganglion_http_kit::{RawRequest, Routes};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::Report;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::reporting::report_user;
use ruma::api::client::room::{report_content, report_room};
use serde::Deserialize;

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<report_room::v3::Request, _, _>(room::post);
    routes.ruma::<report_content::v3::Request, _, _>(event::post);
    routes.ruma::<report_user::v3::Request, _, _>(user::post);
}

#[derive(Deserialize)]
struct Body {
    reason: String,
}

/// Why; ruma's types do without, though it is required, and may be empty.
fn reason(request: &RawRequest) -> Result<String, MatrixError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    Ok(body.reason)
}

async fn keep(app: &AppState, caller: &Caller, report: Report) -> Result<(), MatrixError> {
    let command = Command::Report(report);
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(())
}
