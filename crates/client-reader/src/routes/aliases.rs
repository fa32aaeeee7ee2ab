//! Room aliases.

mod delete;
mod get;
mod of_room;
mod put;

use ganglion_accounts::storage_error;
use ganglion_http_kit::Routes;
use ganglion_model::MatrixError;
use ganglion_rooms::View;
use ruma::api::client::alias::{create_alias, delete_alias, get_alias};
use ruma::api::client::room::aliases as room_aliases;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, RoomAliasId};

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_alias::v3::Request, _, _>(get::get);
    routes.ruma::<create_alias::v3::Request, _, _>(put::put);
    routes.ruma::<delete_alias::v3::Request, _, _>(delete::delete);
    routes.ruma::<room_aliases::v3::Request, _, _>(of_room::get);
}

/// The room that an alias leads to.
///
/// # Errors
/// 404 if there is none, also for an alias of another server: this one does not ask others yet.
pub(super) async fn room_of(
    app: &AppState,
    view: &mut View,
    alias: &RoomAliasId,
) -> Result<OwnedRoomId, MatrixError> {
    let found = app.rooms.alias(view, alias).await.map_err(storage_error)?;
    found.ok_or_else(|| MatrixError::not_found("no room has this alias"))
}

/// The room that an id names or an alias leads to.
///
/// # Errors
/// As [`room_of`].
pub(super) async fn resolve(
    app: &AppState,
    view: &mut View,
    name: OwnedRoomOrAliasId,
) -> Result<OwnedRoomId, MatrixError> {
    match OwnedRoomId::try_from(name) {
        Ok(room_id) => Ok(room_id),
        Err(alias) => room_of(app, view, &alias).await,
    }
}
