//! The checks on an event's format.

use ruma::state_res::check_pdu_format;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, EventId, ID_MAX_BYTES, OwnedEventId};

use super::FormatError;
use crate::version::RoomVersion;

/// The limit on a whole event (client-server API, "Size limits").
pub(crate) const MAX_PDU_BYTES: usize = 65_535;

pub(crate) fn check(object: &CanonicalJsonObject, version: RoomVersion) -> Result<(), FormatError> {
    if size(object)? > MAX_PDU_BYTES {
        return Err(FormatError::TooLarge);
    }
    check_pdu_format(object, &version.rules().event_format).map_err(FormatError::Invalid)?;
    for key in ["type", "sender", "room_id", "state_key"] {
        // PostgreSQL has no NUL in text.
        if optional_text(object, key)?.is_some_and(|text| text.contains('\0')) {
            return Err(FormatError::Invalid(format!("`{key}` holds a NUL")));
        }
    }
    Ok(())
}

/// The bytes of the canonical form.
pub(crate) fn size(object: &CanonicalJsonObject) -> Result<usize, FormatError> {
    Ok(serde_json::to_vec(object)
        .map_err(FormatError::invalid)?
        .len())
}

pub(crate) fn text<'a>(object: &'a CanonicalJsonObject, key: &str) -> Result<&'a str, FormatError> {
    optional_text(object, key)?.ok_or_else(|| FormatError::Invalid(format!("`{key}` is missing")))
}

pub(crate) fn optional_text<'a>(
    object: &'a CanonicalJsonObject,
    key: &str,
) -> Result<Option<&'a str>, FormatError> {
    match object.get(key) {
        None => Ok(None),
        Some(CanonicalJsonValue::String(text)) => Ok(Some(text)),
        Some(_) => Err(FormatError::Invalid(format!("`{key}` is no string"))),
    }
}

/// A number from 0 to 2^53 - 1.
pub(crate) fn integer(object: &CanonicalJsonObject, key: &str) -> Result<i64, FormatError> {
    let number = object
        .get(key)
        .and_then(CanonicalJsonValue::as_integer)
        .map(i64::from);
    let valid = number.filter(|number| *number >= 0);
    valid.ok_or_else(|| FormatError::Invalid(format!("`{key}` is no integer from 0 on")))
}

pub(crate) fn event_ids(
    object: &CanonicalJsonObject,
    key: &str,
) -> Result<Vec<OwnedEventId>, FormatError> {
    let ids = object
        .get(key)
        .and_then(CanonicalJsonValue::as_array)
        .unwrap_or_default();
    let parse = |id: &CanonicalJsonValue| {
        let id = id
            .as_str()
            .filter(|id| id.len() <= ID_MAX_BYTES && !id.contains('\0'));
        id.and_then(|id| EventId::parse(id).ok())
            .ok_or_else(|| FormatError::Invalid(format!("`{key}` holds what is no event id")))
    };
    ids.iter().map(parse).collect()
}
