//! A user's presence from what is known of the devices, by the clock: a pure function, so that all
//! instances agree (client-server API, "Presence").

use ganglion_config::Presence as Settings;

/// A state of presence, the most present last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum State {
    /// Not connected, or hidden.
    #[default]
    Offline,
    /// Idle.
    Unavailable,
    /// Connected.
    Online,
}

impl State {
    /// The specification's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
            Self::Online => "online",
        }
    }

    /// As the formats between processes have it.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Offline => 0,
            Self::Unavailable => 1,
            Self::Online => 2,
        }
    }

    /// From such a number; one of a later version is the nearest.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Offline,
            1 => Self::Unavailable,
            _ => Self::Online,
        }
    }
}

/// What is known of a device. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// What it asks for.
    pub(crate) asked: State,
    /// 0: not known.
    pub(crate) last_active: i64,
    pub(crate) last_seen: i64,
}

/// After how long things change, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) offline: i64,
    pub(crate) idle: i64,
    pub(crate) active: i64,
}

impl Times {
    pub(crate) fn new(settings: &Settings) -> Self {
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX / 4);
        Self {
            offline: ms(settings.offline_ms),
            idle: ms(settings.idle_ms),
            active: ms(settings.active_ms),
        }
    }
}

/// A user's presence at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Derived {
    pub(crate) state: State,
    pub(crate) currently_active: bool,
}

/// The presence at `now` of a user with these devices: that of the most present one. Also when it may
/// be another, if nothing is heard until then.
pub(crate) fn derive<'a>(
    devices: impl Iterator<Item = &'a Device> + Clone,
    now: i64,
    times: Times,
) -> (Derived, Option<i64>) {
    let is_seen = |device: &&Device| now < device.last_seen.saturating_add(times.offline);
    let seen = devices
        .filter(is_seen)
        .filter(|d| d.asked != State::Offline);
    let state = seen.clone().map(|device| at(device, now, times)).max();
    let last_active = seen.clone().map(|device| device.last_active).max();
    let active_until = last_active.unwrap_or(0).saturating_add(times.active);
    let ends = seen.flat_map(|device| {
        [
            device.last_seen.saturating_add(times.offline),
            device.last_active.saturating_add(times.idle),
        ]
    });
    let next = ends.chain([active_until]).filter(|end| *end > now).min();
    let state = state.unwrap_or_default();
    let derived = Derived {
        state,
        currently_active: state == State::Online && now < active_until,
    };
    (derived, next)
}

fn at(device: &Device, now: i64, times: Times) -> State {
    match device.asked {
        State::Online if now >= device.last_active.saturating_add(times.idle) => State::Unavailable,
        asked => asked,
    }
}

#[cfg(test)]
mod tests;
