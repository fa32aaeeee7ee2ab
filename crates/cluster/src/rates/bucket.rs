//! One bucket, as one instance sees it (generic cell rate algorithm). Pure: time is a parameter, in
//! microseconds on this process's monotonic clock.

use ganglion_config::Rate;

/// A second in microseconds.
const SECOND: f64 = 1_000_000.0;

/// A rate in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// What one act takes.
    cost: i64,
    /// How much may be taken ahead of time.
    room: i64,
}

impl Pace {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded, and a float beyond the range becomes its end"
    )]
    pub(super) fn of(rate: Rate) -> Self {
        let cost = ((SECOND / rate.per_second).round() as i64).max(1);
        Self {
            cost,
            room: cost.saturating_mul(rate.burst.into()),
        }
    }
}

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Until when it is used up.
    used_up: i64,
    /// Taken since the last time that it was told to the others.
    untold: i64,
    /// Waits to be told to the others.
    pub(super) queued: bool,
}

impl Bucket {
    /// Takes as much as so many acts take. More than a burst takes the whole of a full bucket, and
    /// is paid back afterwards.
    ///
    /// # Errors
    /// For how many microseconds there is not enough in it; nothing is taken.
    pub(super) fn take(&mut self, now: i64, pace: Pace, times: u32) -> Result<(), i64> {
        let cost = pace.cost.saturating_mul(times.into());
        let before = self.used_up.max(now);
        let needed = before.saturating_add(cost.min(pace.room));
        let beyond = needed.saturating_sub(now).saturating_sub(pace.room);
        if beyond > 0 {
            return Err(beyond);
        }
        self.used_up = before.saturating_add(cost);
        self.untold = self.untold.saturating_add(cost);
        Ok(())
    }

    /// Undoes a [`Bucket::take`].
    pub(super) fn give_back(&mut self, pace: Pace, times: u32) {
        let cost = pace.cost.saturating_mul(times.into());
        self.used_up = self.used_up.saturating_sub(cost);
        self.untold = self.untold.saturating_sub(cost);
    }

    /// What is to be told to the others now.
    pub(super) fn tell(&mut self) -> i64 {
        self.queued = false;
        std::mem::take(&mut self.untold)
    }

    /// All together had used it up for `left` when they were told. Less than what is known here is
    /// not believed: the others may have lost what they were told.
    pub(super) fn hear(&mut self, now: i64, left: i64) {
        let all = now.saturating_add(left).saturating_add(self.untold);
        self.used_up = self.used_up.max(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(burst: u32, per_second: f64) -> Pace {
        Pace::of(Rate { burst, per_second })
    }

    #[test]
    fn a_burst_then_the_rate() {
        let pace = pace(3, 2.0);
        let mut bucket = Bucket::default();
        let start = 7_000_000;
        for _ in 0..3 {
            assert_eq!(bucket.take(start, pace, 1), Ok(()));
        }
        assert_eq!(bucket.take(start, pace, 1), Err(500_000));
        assert_eq!(bucket.take(start + 499_999, pace, 1), Err(1));
        assert_eq!(bucket.take(start + 500_000, pace, 1), Ok(()));
        assert_eq!(bucket.take(start + 500_000, pace, 1), Err(500_000));
        // A long rest does not save up more than the burst.
        let later = start + 60_000_000;
        let taken = (0..10)
            .filter(|_| bucket.take(later, pace, 1).is_ok())
            .count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn many_at_once_cost_as_much_as_one_after_the_other() {
        let pace = pace(4, 1.0);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(0, pace, 3), Ok(()));
        assert_eq!(bucket.take(0, pace, 2), Err(1_000_000));
        bucket.give_back(pace, 3);
        assert_eq!(bucket.tell(), 0);
        // More than a burst: only from a full one, and paid back.
        assert_eq!(bucket.take(0, pace, 10), Ok(()));
        assert_eq!(bucket.take(0, pace, 1), Err(7_000_000));
        assert_eq!(bucket.take(7_000_000, pace, 10), Err(3_000_000));
        assert_eq!(bucket.take(10_000_000, pace, 10), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let pace = pace(1, 1.0);
        let mut bucket = Bucket::default();
        bucket.take(0, pace, 1).unwrap();
        assert_eq!(bucket.take(0, pace, 1), Err(1_000_000));
        bucket.give_back(pace, 1);
        assert_eq!(bucket.tell(), 0);
        assert_eq!(bucket.take(0, pace, 1), Ok(()));
        assert_eq!(bucket.tell(), 1_000_000);
        assert_eq!(bucket.tell(), 0);
        // Given back after it was told: the others hear of that, too.
        bucket.give_back(pace, 1);
        assert_eq!(bucket.tell(), -1_000_000);
    }

    #[test]
    fn what_others_took_counts_and_is_paid_back() {
        let pace = pace(2, 1.0);
        let mut bucket = Bucket::default();
        bucket.take(0, pace, 1).unwrap();
        let told = bucket.tell();
        // Taken while it is told: counts on top of the answer.
        bucket.take(0, pace, 1).unwrap();
        bucket.hear(0, told + 3_000_000);
        assert_eq!(bucket.take(0, pace, 1), Err(4_000_000));
        assert_eq!(bucket.take(4_000_000, pace, 1), Ok(()));
    }

    #[test]
    fn a_redis_that_has_forgotten_gives_nobody_a_new_burst() {
        let pace = pace(2, 1.0);
        let mut bucket = Bucket::default();
        bucket.take(0, pace, 1).unwrap();
        bucket.take(0, pace, 1).unwrap();
        bucket.tell();
        bucket.hear(0, 0);
        assert_eq!(bucket.take(0, pace, 1), Err(1_000_000));
    }

    #[test]
    fn extreme_rates_are_rates() {
        let mut bucket = Bucket::default();
        let slow = pace(u32::MAX, 0.000_01);
        assert_eq!(bucket.take(0, slow, 1), Ok(()));
        let mut bucket = Bucket::default();
        let fast = pace(1, 1_000_000.0);
        assert_eq!(bucket.take(0, fast, 1), Ok(()));
        assert_eq!(bucket.take(0, fast, 1), Err(1));
    }
}
