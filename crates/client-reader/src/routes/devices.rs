//! Devices: `/_matrix/client/v3/devices` and `/_matrix/client/v3/delete_devices`.
//!
//! When and from where a device was last seen is not told: both are optional, and to know them
//! would cost writes that requests have no other need of.

mod delete;
mod delete_many;
mod get;
mod get_all;
mod put;

use ganglion_http_kit::Routes;
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::DeleteDevices;
use ganglion_proto::persister::user_command::Command;
use ganglion_storage::accounts::DeviceRecord;
use ruma::api::client::device::{
    delete_device, delete_devices, get_device, get_devices, update_device,
};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_devices::v3::Request, _, _>(get_all::get);
    routes.ruma::<get_device::v3::Request, _, _>(get::get);
    routes.ruma::<update_device::v3::Request, _, _>(put::put);
    routes.ruma::<delete_device::v3::Request, _, _>(delete::delete);
    routes.ruma::<delete_devices::v3::Request, _, _>(delete_many::post);
}

fn as_json(device: DeviceRecord) -> Value {
    let mut json = json!({"device_id": device.device_id});
    if let Some(name) = device.display_name {
        json["display_name"] = Value::String(name);
    }
    json
}

/// Ends devices of the caller and their tokens.
async fn end(app: &AppState, caller: &Caller, device_ids: Vec<String>) -> Result<(), MatrixError> {
    let command = Command::DeleteDevices(DeleteDevices { device_ids });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(())
}
