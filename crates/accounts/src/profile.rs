//! Profile fields: which names and values there may be (client-server API, "Profiles").

use ganglion_model::MatrixError;
use ruma::{CanonicalJsonValue, MxcUri};

/// The longest name of a field, in bytes.
const MAX_NAME: usize = 255;

/// Checks the name of a field that is to be set or removed.
///
/// # Errors
/// `M_KEY_TOO_LARGE` beyond 255 bytes; `M_INVALID_PARAM` for a name that is neither one of the
/// spec's nor a namespaced one (appendices, "Common Namespaced Identifier Grammar").
pub fn check_name(name: &str) -> Result<(), MatrixError> {
    if name.len() > MAX_NAME {
        return Err(MatrixError::new(
            400,
            "M_KEY_TOO_LARGE",
            "a profile key has at most 255 bytes",
        ));
    }
    if matches!(name, "displayname" | "avatar_url") {
        return Ok(());
    }
    let in_grammar = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let namespaced = name
        .split_once('.')
        .is_some_and(|(space, rest)| !space.is_empty() && !rest.is_empty() && !rest.ends_with('.'));
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.bytes().all(in_grammar)
        || !namespaced
    {
        return Err(MatrixError::invalid_param("not a profile key"));
    }
    Ok(())
}

/// The value to store for a field; `None` removes the field.
///
/// `displayname` and `avatar_url` are also removed by `null` and by an empty text, as clients have
/// always done.
///
/// # Errors
/// `M_BAD_JSON` if a field of the spec has a value of another type.
pub fn checked_value(
    name: &str,
    value: CanonicalJsonValue,
) -> Result<Option<CanonicalJsonValue>, MatrixError> {
    let classic = matches!(name, "displayname" | "avatar_url");
    match &value {
        CanonicalJsonValue::Null if classic => return Ok(None),
        CanonicalJsonValue::String(text) if classic && text.is_empty() => return Ok(None),
        CanonicalJsonValue::String(text)
            if name == "avatar_url" && !<&MxcUri>::from(text.as_str()).is_valid() =>
        {
            return Err(MatrixError::bad_json("avatar_url is an mxc:// URI"));
        }
        CanonicalJsonValue::String(_) => {}
        _ if classic || name == "m.tz" => {
            return Err(MatrixError::bad_json(format!("{name} is a string")));
        }
        _ => {}
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests;
