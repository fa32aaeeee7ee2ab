//! JSON from outside, made canonical.

use std::fmt;

use ganglion_model::MatrixError;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// How deep objects and arrays may nest. Keeps what we store readable by parsers that stop at 128,
/// also inside an event inside a response.
pub const MAX_DEPTH: u8 = 100;

/// Why bytes are not the JSON we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not JSON at all.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but no object of canonical JSON: a float, an integer beyond 53 bits, a key twice, too
    /// deep, or another value than an object.
    #[error("{0}")]
    BadJson(String),
}

impl From<ContentError> for MatrixError {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::NotJson(_) => Self::new(400, "M_NOT_JSON", error.to_string()),
            ContentError::BadJson(_) => Self::bad_json(error.to_string()),
        }
    }
}

/// Parses one JSON object, strictly: what canonical JSON cannot say and keys that come twice are
/// errors. Serialised again with `serde_json`, the result is the canonical form.
pub fn parse_object(bytes: &[u8]) -> Result<CanonicalJsonObject, ContentError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Canonical { depth: 0 }
        .deserialize(&mut deserializer)
        .map_err(content_error)?;
    deserializer.end().map_err(content_error)?;
    match value {
        CanonicalJsonValue::Object(object) => Ok(object),
        _ => Err(ContentError::BadJson(
            "the body is not a JSON object".to_owned(),
        )),
    }
}

/// Whether a type, state key or id can be stored: at most 255 bytes, no NUL.
#[must_use]
pub fn is_storable_key(text: &str) -> bool {
    text.len() <= ruma::ID_MAX_BYTES && !text.contains('\0')
}

fn content_error(error: serde_json::Error) -> ContentError {
    match error.classify() {
        serde_json::error::Category::Data => ContentError::BadJson(error.to_string()),
        _ => ContentError::NotJson(error.to_string()),
    }
}

/// Builds a canonical value straight from the parser, knowing how deep it is.
#[derive(Clone, Copy)]
struct Canonical {
    depth: u8,
}

impl Canonical {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Self {
                depth: self.depth + 1,
            }),
            false => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Canonical {
    type Value = CanonicalJsonValue;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canonical {
    type Value = CanonicalJsonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canonical JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        let integer = Int::new(value).ok_or_else(|| E::custom("an integer beyond 53 bits"))?;
        Ok(CanonicalJsonValue::Integer(integer))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: Error>(self, _value: f64) -> Result<Self::Value, E> {
        Err(E::custom("a number that is not an integer of 53 bits"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
        Ok(CanonicalJsonValue::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(CanonicalJsonValue::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = CanonicalJsonObject::new();
        while let Some(key) = from.next_key::<String>()? {
            let value = from.next_value_seed(inner)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("an object names a key twice"));
            }
        }
        Ok(CanonicalJsonValue::Object(object))
    }
}

#[cfg(test)]
mod tests;
