//! Whether the balancer should send work here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `/ready` answers. A clone is the same one.
///
/// A process is ready when it can serve; it stays ready while a shared dependency is away, because
/// then every instance would turn unready at once and nobody be left to answer.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether the process is ready.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// True if the process is ready.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
