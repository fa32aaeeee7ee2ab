//! Serving gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use ganglion_config::Rpc;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::service::Routes;
use tonic::transport::{Certificate, Server, ServerTlsConfig};

use crate::clients::{identity, read};

/// Calls in work at once on one connection.
const CALLS_PER_CONNECTION: usize = 4_096;
const KEEPALIVE: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A call without a deadline of its own gets this one.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(20);

/// A bound gRPC port.
pub struct RpcServer {
    listener: TcpListener,
    tls: ServerTlsConfig,
}

impl RpcServer {
    /// Reads the certificates and binds `rpc.listen`.
    ///
    /// # Errors
    /// A message that says which file or address cannot be used.
    pub async fn bind(config: &Rpc) -> Result<Self, String> {
        let tls = ServerTlsConfig::new()
            .identity(identity(config)?)
            .client_ca_root(Certificate::from_pem(read(&config.ca_file)?))
            .timeout(HANDSHAKE);
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| format!("rpc.listen {}: {error}", config.listen))?;
        Ok(Self { listener, tls })
    }

    /// The bound address.
    ///
    /// # Errors
    /// If the socket cannot tell.
    pub fn address(&self) -> Result<SocketAddr, String> {
        self.listener
            .local_addr()
            .map_err(|error| error.to_string())
    }

    /// Serves until `drain` completes, then finishes the calls in work.
    ///
    /// # Errors
    /// A message if TLS cannot be set up or the port breaks.
    pub async fn serve(
        self,
        services: Routes,
        drain: impl Future<Output = ()> + Send,
    ) -> Result<(), String> {
        Server::builder()
            .tls_config(self.tls)
            .map_err(|error| format!("rpc: {error}"))?
            .tcp_nodelay(true)
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_routes(services)
            .serve_with_incoming_shutdown(TcpListenerStream::new(self.listener), drain)
            .await
            .map_err(|error| format!("rpc: {error}"))
    }
}

/// How long a call's caller waits from now on (`grpc-timeout`).
#[must_use]
pub fn deadline_of<T>(request: &Request<T>) -> Duration {
    let header = request
        .metadata()
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok());
    header
        .and_then(parse_timeout)
        .unwrap_or(DEFAULT_DEADLINE)
        .min(DEFAULT_DEADLINE * 3)
}

/// At most 8 digits and a unit (gRPC over HTTP/2, "Requests").
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
