//! The metrics of this crate.

use ganglion_telemetry::metrics::{Counter, Gauge};

pub(crate) static SYNCS: Counter = Counter::new(
    "ganglion_sync_responses_total",
    "Answers to /sync by kind: initial, incremental, empty.",
);

pub(crate) static SOURCES: Counter = Counter::new(
    "ganglion_sync_timelines_total",
    "Timelines of rooms by where their events came from: tail, database.",
);

pub(crate) static PARKED: Gauge = Gauge::new(
    "ganglion_sync_parked",
    "Requests to /sync that wait for something new.",
);
