//! Account data, global and of rooms.

mod get;
mod put;

use ganglion_http_kit::Routes;
use ganglion_model::MatrixError;
use ruma::api::client::config::{
    get_global_account_data, get_room_account_data, set_global_account_data, set_room_account_data,
};
use ruma::{OwnedRoomId, RoomId, UserId};

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_global_account_data::v3::Request, _, _>(get::get);
    routes.ruma::<set_global_account_data::v3::Request, _, _>(put::put);
    routes.ruma::<get_room_account_data::v3::Request, _, _>(get::get);
    routes.ruma::<set_room_account_data::v3::Request, _, _>(put::put);
}

/// What a path names: the room, where it is of one, and the type. The user must be the caller.
fn place<'a>(
    caller: &Caller,
    arguments: &'a [String],
) -> Result<(Option<OwnedRoomId>, &'a str), MatrixError> {
    let (user, room, data_type) = match arguments {
        [user, data_type] => (user, None, data_type),
        [user, room, data_type] => (user, Some(room), data_type),
        _ => return Err(MatrixError::internal()),
    };
    let user = UserId::parse(user).map_err(|_no| MatrixError::invalid_param("not a user id"))?;
    caller.must_be(&user)?;
    let room = room.map(RoomId::parse).transpose();
    let room = room.map_err(|_no| MatrixError::invalid_param("not a room id"))?;
    Ok((room, data_type))
}
