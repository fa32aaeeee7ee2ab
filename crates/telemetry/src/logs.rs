//! Log lines and, where an OTLP endpoint is configured, traces.

use ganglion_config::{Log, LogFormat};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The standard variables that name an OTLP endpoint.
const ENDPOINT_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

/// Keeps the exporter alive; changes the level at run time.
pub struct Guard {
    filter: reload::Handle<EnvFilter, Registry>,
    traces: Option<SdkTracerProvider>,
}

impl Guard {
    /// The filter in force.
    #[must_use]
    pub fn level(&self) -> String {
        self.filter
            .with_current(ToString::to_string)
            .unwrap_or_default()
    }

    /// Sets the filter: a level or `target=level,…`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
        self.filter
            .reload(filter)
            .map_err(|error| error.to_string())
    }

    /// Sends what traces are left.
    pub fn flush(&self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::debug!(%error, "the last traces are lost");
        }
    }
}

/// Starts logging to standard output. Call it once, inside the runtime.
///
/// Traces go by OTLP over gRPC if one of the standard endpoint variables is set; the other standard
/// `OTEL_*` variables (sampler, headers, resource) apply.
///
/// # Errors
/// What is wrong with the level or the exporter, or that logging has started already.
pub fn init(log: &Log, role: &'static str, instance: &str) -> Result<Guard, String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = match log.format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer().with_ansi(false).boxed(),
    };
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let traces = traces(role, instance)?;
    let exported = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("ganglion")));
    Registry::default()
        .with(filter)
        .with(lines)
        .with(exported)
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Guard {
        filter: handle,
        traces,
    })
}

fn traces(role: &'static str, instance: &str) -> Result<Option<SdkTracerProvider>, String> {
    if ENDPOINT_VARIABLES
        .iter()
        .all(|name| std::env::var_os(name).is_none())
    {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .build()
        .map_err(|error| format!("OTLP exporter: {error}"))?;
    let resource = opentelemetry_sdk::Resource::builder()
        .with_service_name(format!("ganglion-{role}"))
        .with_attribute(opentelemetry::KeyValue::new(
            "service.instance.id",
            instance.to_owned(),
        ))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}
