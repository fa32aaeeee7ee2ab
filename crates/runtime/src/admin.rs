//! The admin port: `/live`, `/ready`, `/metrics`, `/log`. Never exposed to the public.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use ganglion_telemetry::Guard;
use ganglion_telemetry::metrics;
use tokio::net::TcpListener;

use crate::readiness::Readiness;

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    logs: Arc<Guard>,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, readiness: Readiness, logs: Arc<Guard>) {
    let router = Router::new()
        .route("/live", get(|| async { "live" }))
        .route("/ready", get(ready))
        .route("/metrics", get(|| async { metrics::render() }))
        .route("/log", get(level).put(set_level))
        .with_state(Admin { readiness, logs });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin port is gone");
    }
}

/// 404 and not 503: the balancer then lets running requests finish and sends no new ones.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.readiness.get() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::NOT_FOUND, "not ready")
    }
}

async fn level(State(admin): State<Admin>) -> String {
    admin.logs.level()
}

async fn set_level(State(admin): State<Admin>, level: String) -> (StatusCode, String) {
    match admin.logs.set_level(level.trim()) {
        Ok(()) => {
            tracing::info!(level = level.trim(), "the log level was changed");
            (StatusCode::OK, level)
        }
        Err(error) => (StatusCode::BAD_REQUEST, error),
    }
}
