//! The addresses that a process has bound, told to who started it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Default, Clone, Copy)]
struct Bound {
    http: Option<SocketAddr>,
    rpc: Option<SocketAddr>,
}

/// Collects bound addresses. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Arc<Mutex<Bound>>);

#[derive(Serialize)]
struct File<'a> {
    role: &'a str,
    instance: Uuid,
    pid: u32,
    http: Option<SocketAddr>,
    rpc: Option<SocketAddr>,
    admin: SocketAddr,
}

impl Addresses {
    /// The public HTTP port.
    pub fn set_http(&self, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).http = Some(address);
    }

    /// The gRPC port.
    pub fn set_rpc(&self, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rpc = Some(address);
    }

    /// Writes `admin.address_file`, whole or not at all.
    pub(crate) fn write(
        &self,
        path: &Path,
        role: &str,
        instance: Uuid,
        admin: SocketAddr,
    ) -> anyhow::Result<()> {
        let Bound { http, rpc } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = File {
            role,
            instance,
            pid: std::process::id(),
            http,
            rpc,
            admin,
        };
        let partial = path.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec(&file)?)?;
        std::fs::rename(&partial, path)?;
        Ok(())
    }
}
