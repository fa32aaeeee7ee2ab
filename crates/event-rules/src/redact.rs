//! Redaction: from the stored form to the stored form.

use ruma::canonical_json::{redact_content_in_place, redact_in_place};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};

use crate::pdu::FormatError;
use crate::power::Power;
use crate::stored::Split;
use crate::version::RoomVersion;

/// Removes from an event what its room version does not protect (room version pages, "Redactions").
///
/// The columns stay as they are, and so does the event's id. Fails where the bytes are damaged.
pub fn redact(
    event_type: &str,
    content: &[u8],
    envelope: &[u8],
    version: RoomVersion,
) -> Result<Split, FormatError> {
    let rules = &version.rules().redaction;
    let mut content: CanonicalJsonObject =
        serde_json::from_slice(content).map_err(FormatError::invalid)?;
    redact_content_in_place(&mut content, rules, event_type);
    let mut envelope: CanonicalJsonObject =
        serde_json::from_slice(envelope).map_err(FormatError::invalid)?;
    let kind = CanonicalJsonValue::String(event_type.to_owned());
    envelope.insert("type".to_owned(), kind);
    redact_in_place(&mut envelope, rules, None).map_err(FormatError::invalid)?;
    envelope.remove("type");
    Ok(Split {
        content: serde_json::to_vec(&content).map_err(FormatError::invalid)?,
        envelope: serde_json::to_vec(&envelope).map_err(FormatError::invalid)?,
    })
}

/// Whether a redaction that passed the authorisation rules takes effect (room version 3, "Handling
/// redactions"): its sender has the redact level or is of the same server as the target's sender.
#[must_use]
pub fn may_redact(redacter: &UserId, target_sender: &UserId, power: &Power) -> bool {
    redacter.server_name() == target_sender.server_name() || power.may_redact_others(redacter)
}

/// Whether a user of this server may redact an event: one's own, or with the redact level any
/// (client-server API, "Redactions"). For who is elsewhere that is the other server's business
/// ([`may_redact`]).
#[must_use]
pub fn user_may_redact(user: &UserId, target_sender: &UserId, power: &Power) -> bool {
    user == target_sender || power.may_redact_others(user)
}

#[cfg(test)]
mod tests;
