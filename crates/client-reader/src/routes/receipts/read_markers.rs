//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_storage::receipts::ReceiptKind;
use ruma::api::client::read_marker::set_read_marker::v3::{Request, Response};

use super::{Marks, mark};
use crate::caller::Caller;
use crate::state::AppState;

/// Moves the fully read marker and unthreaded receipts, whichever are given.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let receipts = [
        (ReceiptKind::Read, request.read_receipt),
        (ReceiptKind::Private, request.private_read_receipt),
    ];
    let given = receipts.into_iter();
    let marks = Marks {
        receipts: given
            .filter_map(|(kind, event_id)| Some((kind, event_id?, None)))
            .collect(),
        fully_read: request.fully_read,
    };
    mark(&app, &caller, &request.room_id, marks).await?;
    Ok(RumaBody(Response::new()))
}
