//! The server roles that can be started.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A server role: one binary of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Serves the client-server API.
    ClientReader,
    /// Writes the logs.
    EventPersister,
    /// Judges events by push rules.
    Pusher,
}

impl Role {
    /// Every role.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        &[Self::ClientReader, Self::EventPersister, Self::Pusher]
    }

    /// Its name: that of the binary, and in certificates and log fields.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientReader => "client-reader",
            Self::EventPersister => "event-persister",
            Self::Pusher => "pusher",
        }
    }

    /// The database user it logs in as; the migrations give it its rights.
    #[must_use]
    pub const fn database_user(self) -> &'static str {
        match self {
            Self::ClientReader => "ganglion_client_reader",
            Self::EventPersister => "ganglion_event_persister",
            Self::Pusher => "ganglion_pusher",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().iter().find(|role| role.as_str() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::all().iter().map(|role| role.as_str()).collect();
            format!("`{name}` is no role; there are {}", names.join(", "))
        })
    }
}
