//! What was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cpu::Watch;

/// Times of one kind of request.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    fn at(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank"
        )]
        let rank = ((self.0.len() as f64 * share) as usize).min(self.0.len().saturating_sub(1));
        self.0.get(rank).map_or(0.0, Duration::as_secs_f64) * 1_000.0
    }

    /// One line: how many, and percentiles in milliseconds.
    pub(crate) fn print(&mut self, what: &str) {
        let (half, most, worst) = (self.at(0.5), self.at(0.99), self.at(1.0));
        print(&format!(
            "{what}: {} in all, p50 {half:.1} ms, p99 {most:.1} ms, max {worst:.1} ms",
            self.count(),
        ));
    }
}

/// CPU time used between two moments.
pub(crate) struct Used {
    watch: Watch,
    before: BTreeMap<String, f64>,
}

impl Used {
    pub(crate) fn start(watch: Watch) -> Self {
        let before = watch.seconds().into_iter().collect();
        Self { watch, before }
    }

    /// Prints each process' time and returns the sum in seconds.
    pub(crate) fn print(&self) -> f64 {
        let mut sum = 0.0;
        for (name, seconds) in self.watch.seconds() {
            let used = seconds - self.before.get(&name).copied().unwrap_or(0.0);
            sum += used;
            print(&format!("  cpu {name}: {used:.2} s"));
        }
        sum
    }
}

#[expect(clippy::print_stdout, reason = "it is the program's purpose")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}
