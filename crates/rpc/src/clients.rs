//! Calling other roles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ganglion_config::Rpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::identity::RPC_DOMAIN;
use crate::trace;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Channels kept; each address of a cluster's life needs one.
const MAX_CHANNELS: usize = 1_000;

/// Channels to other instances, one per address, connected when first used and again when lost.
/// A clone is the same set.
#[derive(Clone)]
pub struct RpcClients {
    ca: Certificate,
    identity: Identity,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl RpcClients {
    /// Reads this role's certificate, its key and the CA.
    ///
    /// # Errors
    /// A message that names the file that cannot be read.
    pub fn new(config: &Rpc) -> Result<Self, String> {
        Ok(Self {
            ca: Certificate::from_pem(read(&config.ca_file)?),
            identity: identity(config)?,
            channels: Arc::default(),
        })
    }

    /// The channel to an instance of `role` at `address` (`host:port`).
    ///
    /// # Errors
    /// `INTERNAL` if the address or the certificates cannot be used.
    pub fn channel(&self, role: &str, address: &str) -> Result<Channel, Status> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let tls = ClientTlsConfig::new()
            .ca_certificate(self.ca.clone())
            .identity(self.identity.clone())
            .domain_name(format!("{role}.{RPC_DOMAIN}"));
        let channel = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(|error| Status::internal(format!("{address}: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        if channels.len() >= MAX_CHANNELS {
            channels.clear();
        }
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

/// A request that says how long its caller waits, and carries the caller's trace.
#[must_use]
pub fn with_deadline<T>(message: T, left: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(left);
    trace::inject(request.metadata_mut());
    request
}

pub(crate) fn identity(config: &Rpc) -> Result<Identity, String> {
    Ok(Identity::from_pem(
        read(&config.cert_file)?,
        read(&config.key_file)?,
    ))
}

pub(crate) fn read(path: &std::path::Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
