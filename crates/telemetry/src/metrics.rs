//! The one place that knows the metrics library. Crates declare statics of these types:
//!
//! ```
//! use ganglion_telemetry::metrics::Counter;
//! static SENT: Counter = Counter::new("ganglion_example_sent_total", "Things sent.");
//! SENT.increment(1);
//! SENT.with(&[("kind", "first")]).increment(1);
//! ```

use std::sync::{Once, OnceLock};

use metrics::{Key, KeyName, Label, Level, Metadata, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of every histogram whose name ends in `_seconds`.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];
/// Upper bounds of the buckets of every other histogram: counts and bytes.
const AMOUNTS: [f64; 10] = [
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    1_000.0,
    10_000.0,
    1_000_000.0,
];

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts collecting; what was counted before is lost. Calling it again does nothing.
///
/// # Errors
/// A message if another recorder is installed.
pub fn install_recorder() -> Result<(), String> {
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let suffix = Matcher::Suffix("_seconds".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets(&AMOUNTS)
        .and_then(|builder| builder.set_buckets_for_metric(suffix, &SECONDS))
        .map_err(|error| error.to_string())?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    // Two threads that start at once install the same.
    HANDLE.get_or_init(|| handle);
    Ok(())
}

/// All metrics in the Prometheus text format; empty before [`install_recorder`].
#[must_use]
pub fn render() -> String {
    HANDLE
        .get()
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels = labels
        .iter()
        .map(|(key, value)| Label::new(*key, (*value).to_owned()));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

macro_rules! metric {
    ($(#[$doc:meta])* $name:ident, $handle:ident, $library:ty, $register:ident, $describe:ident) => {
        $(#[$doc])*
        pub struct $name {
            name: &'static str,
            help: &'static str,
            described: Once,
        }

        /// One time series.
        pub struct $handle($library);

        impl $name {
            /// Declares it; `name` is `ganglion_<subsystem>_<what>_<unit>`.
            #[must_use]
            pub const fn new(name: &'static str, help: &'static str) -> Self {
                Self { name, help, described: Once::new() }
            }

            /// The series with these labels; their values come from small closed sets.
            pub fn with(&self, labels: &[(&'static str, &str)]) -> $handle {
                metrics::with_recorder(|recorder| {
                    self.described.call_once(|| {
                        let help = SharedString::const_str(self.help);
                        recorder.$describe(KeyName::from_const_str(self.name), None, help);
                    });
                    $handle(recorder.$register(&key(self.name, labels), &METADATA))
                })
            }
        }
    };
}

metric!(
    /// Counts up.
    Counter, CounterSeries, metrics::Counter, register_counter, describe_counter
);
metric!(
    /// A value that goes up and down.
    Gauge, GaugeSeries, metrics::Gauge, register_gauge, describe_gauge
);
metric!(
    /// A distribution.
    Histogram, HistogramSeries, metrics::Histogram, register_histogram, describe_histogram
);

impl Counter {
    /// Adds to the series without labels.
    pub fn increment(&self, by: u64) {
        self.with(&[]).increment(by);
    }
}

impl CounterSeries {
    /// Adds.
    pub fn increment(&self, by: u64) {
        self.0.increment(by);
    }
}

impl Gauge {
    /// Sets the series without labels.
    pub fn set(&self, value: f64) {
        self.with(&[]).set(value);
    }

    /// Adds to the series without labels.
    pub fn add(&self, by: f64) {
        self.with(&[]).add(by);
    }
}

impl GaugeSeries {
    /// Sets.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds; a negative number takes away.
    pub fn add(&self, by: f64) {
        self.0.increment(by);
    }
}

impl Histogram {
    /// Adds one observation to the series without labels.
    pub fn record(&self, value: f64) {
        self.with(&[]).record(value);
    }
}

impl HistogramSeries {
    /// Adds one observation.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}

#[cfg(test)]
mod tests;
