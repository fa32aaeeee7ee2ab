//! Waiting longer after each failure, with jitter so that nobody comes back together.

use std::time::Duration;

/// Delays that double from the first to the last.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self {
            first,
            last,
            next: first,
        }
    }

    /// The next delay: between half of it and all of it.
    pub(crate) fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (self.next * 2).min(self.last);
        jittered(delay)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half of a duration and all of it.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.5..=1.0))
}
