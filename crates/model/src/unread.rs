//! What events count for: notifications and highlights.

/// What push rules say about an event, as far as it is counted. A highlight is also a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It notifies.
    pub notify: bool,
    /// It is shown as a highlight.
    pub highlight: bool,
}

impl Verdict {
    const NOTIFIES: i32 = 1 << 8;
    const HIGHLIGHTS: i32 = 1 << 9;

    /// Its bits of `events.flags`.
    #[must_use]
    pub fn to_flags(self) -> i32 {
        i32::from(self.notify) * Self::NOTIFIES + i32::from(self.highlight) * Self::HIGHLIGHTS
    }

    /// From `events.flags`.
    #[must_use]
    pub fn from_flags(flags: i32) -> Self {
        Self {
            notify: flags & Self::NOTIFIES != 0,
            highlight: flags & Self::HIGHLIGHTS != 0,
        }
    }
}

/// How many notifications and highlights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Notifications, highlights among them.
    pub notify: i64,
    /// Highlights.
    pub highlight: i64,
}

impl Counts {
    /// Counts one more event.
    pub fn add(&mut self, verdict: Verdict) {
        self.notify += i64::from(verdict.notify);
        self.highlight += i64::from(verdict.highlight);
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            notify: self.notify + other.notify,
            highlight: self.highlight + other.highlight,
        }
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            notify: self.notify - other.notify,
            highlight: self.highlight - other.highlight,
        }
    }
}
