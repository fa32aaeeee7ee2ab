//! Reading, overriding and checking.

use std::path::Path;

use toml::{Table, Value};

use crate::sections::Config;

/// Environment variables that override keys: `GANGLION__SECTION__KEY`.
const PREFIX: &str = "GANGLION__";

/// One thing that is wrong: key, value and fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `section.key`.
    pub key: String,
    /// What is wrong with its value and what to write instead.
    pub message: String,
}

impl Problem {
    /// Names a key, what is wrong, and the fix.
    pub(crate) fn new(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds a key or a type that is not known.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: String,
        /// Where and why.
        message: String,
    },
    /// Values that cannot be used: all of them at once.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| format!("{}: {}", p.key, p.message))
        .collect();
    lines.join("\n")
}

impl Config {
    /// Reads the file at `path`, applies `GANGLION__SECTION__KEY` variables from `environment`, and
    /// checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let config = Self::read(path, environment)?;
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }

    /// The same without a look at the values: for tools that need only some of them, on machines
    /// that do not have the files that others name.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or parsed, or names a key that is not known.
    pub fn read(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: name.clone(),
            source,
        })?;
        let parse = |message: String| ConfigError::Parse {
            path: name.clone(),
            message,
        };
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| parse(error.to_string()))?;
        for (variable, value) in environment {
            if let Some(place) = variable.strip_prefix(PREFIX) {
                set(&mut table, &variable, place, &value)?;
            }
        }
        Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| parse(error.to_string().trim().to_owned()))
    }
}

/// Sets one key from the environment: a TOML value if it reads as one, else a string.
fn set(table: &mut Table, variable: &str, place: &str, value: &str) -> Result<(), ConfigError> {
    let place = place.to_lowercase();
    let wrong = || {
        let message = "an override is named GANGLION__SECTION__KEY";
        ConfigError::Invalid(vec![Problem::new(variable, message)])
    };
    let (section, key) = place.split_once("__").ok_or_else(wrong)?;
    let section = table
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(section) = section else {
        return Err(wrong());
    };
    let as_toml: Option<Value> = format!("v = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("v"));
    section.insert(
        key.to_owned(),
        as_toml.unwrap_or_else(|| Value::String(value.to_owned())),
    );
    Ok(())
}

#[cfg(test)]
mod tests;
