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

pub(crate) static SOFT_ADDED: Counter = Counter::new(
    "ganglion_sync_soft_added_total",
    "Entries added to the streams of soft state, by stream: typing, presence.",
);

pub(crate) static SOFT_DROPPED: Counter = Counter::new(
    "ganglion_sync_soft_dropped_total",
    "Typing notices and presence that were lost because Redis was away or slow, by stream.",
);

pub(crate) static SOFT_AWAY: Gauge = Gauge::new(
    "ganglion_sync_soft_away",
    "1 while a stream of soft state cannot be read, by stream.",
);

pub(crate) static PRESENCE_NOT_KEPT: Counter = Counter::new(
    "ganglion_sync_presence_not_kept_total",
    "Last states of users that were not written to PostgreSQL.",
);

pub(crate) static PRESENCE_PEOPLE: Gauge = Gauge::new(
    "ganglion_sync_presence_users",
    "Users whose presence this process has in memory.",
);
