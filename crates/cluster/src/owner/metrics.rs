//! What the owner's side counts. No label names a shard or a room.

use ganglion_model::ShardFamily;
use ganglion_telemetry::metrics::{Counter, Gauge, Histogram};

pub(super) static OWNED: Gauge = Gauge::new(
    "ganglion_owner_shards",
    "Shards that this instance owns, by family.",
);
pub(super) static TAKEN: Counter = Counter::new(
    "ganglion_owner_taken_total",
    "Leases taken, by family and by from whom: nobody, dead.",
);
pub(super) static RELEASED: Counter = Counter::new(
    "ganglion_owner_released_total",
    "Leases given up, by family.",
);
pub(super) static LOST: Counter = Counter::new(
    "ganglion_owner_lost_total",
    "Leases that another instance took while this one thought it had them, by family.",
);
pub(super) static BATCHES: Counter = Counter::new(
    "ganglion_owner_batches_total",
    "Batches by family and outcome: committed, nothing, refused, unknown, unavailable, fenced.",
);
pub(super) static BATCH_COMMANDS: Histogram = Histogram::new(
    "ganglion_owner_batch_commands",
    "Commands in one batch, by family.",
);
pub(super) static QUEUE_SECONDS: Histogram = Histogram::new(
    "ganglion_owner_queue_seconds",
    "Time a command waited for its first batch, by family.",
);
pub(super) static POISON: Counter = Counter::new(
    "ganglion_owner_poison_total",
    "Commands answered with an error because they cannot be stored, by family.",
);
pub(super) static PUBLISH_DROPPED: Counter = Counter::new(
    "ganglion_owner_publish_dropped_total",
    "Batches that were not published; readers find them in PostgreSQL.",
);

/// The label of a family.
pub(super) fn family(family: ShardFamily) -> &'static str {
    match family {
        ShardFamily::Room => "room",
        ShardFamily::User => "user",
        ShardFamily::Push => "push",
    }
}
