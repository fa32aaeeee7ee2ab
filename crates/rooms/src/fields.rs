//! `event_fields` of a filter: only the named parts of an event (appendices, "Dot-separated property
//! paths").

use serde_json::{Map, Value};

/// The paths of a filter, taken apart.
#[derive(Debug, Clone)]
pub struct Fields(Vec<Vec<String>>);

impl Fields {
    /// From the filter's list.
    #[must_use]
    pub fn new(paths: &[String]) -> Self {
        Self(paths.iter().map(|path| parts(path)).collect())
    }

    /// The event with only these fields. What does not parse stays as it is.
    #[must_use]
    pub fn project(&self, event: &[u8]) -> Vec<u8> {
        let Ok(whole) = serde_json::from_slice::<Value>(event) else {
            return event.to_vec();
        };
        let mut kept = Map::new();
        for path in &self.0 {
            keep(&whole, path, &mut kept);
        }
        serde_json::to_vec(&kept).unwrap_or_else(|_unwritable| event.to_vec())
    }
}

/// Splits at dots; `\.` is a dot of the name and `\\` a backslash.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        let taken = match character {
            '.' => {
                parts.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped @ ('.' | '\\')) => Some(escaped),
                Some(other) => {
                    if let Some(last) = parts.last_mut() {
                        last.push('\\');
                    }
                    Some(other)
                }
                None => Some('\\'),
            },
            plain => Some(plain),
        };
        if let Some(last) = parts.last_mut() {
            last.extend(taken);
        }
    }
    parts
}

fn keep(from: &Value, path: &[String], to: &mut Map<String, Value>) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let Some(value) = from.get(name) else { return };
    if rest.is_empty() {
        to.insert(name.clone(), value.clone());
    } else if value.is_object() {
        let mut inner = Map::new();
        keep(value, rest, &mut inner);
        if inner.is_empty() {
            return;
        }
        match to.get_mut(name) {
            Some(Value::Object(there)) => merge(there, inner),
            _ => {
                to.insert(name.clone(), Value::Object(inner));
            }
        }
    }
}

fn merge(there: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match (there.get_mut(&name), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => {
                there.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
