//! Who is calling.

use ganglion_telemetry::metrics::Counter;
use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The domain of all roles' certificates: `<role>.ganglion.internal`.
pub const RPC_DOMAIN: &str = "ganglion.internal";

static DENIED: Counter = Counter::new(
    "ganglion_rpc_denied_total",
    "Calls refused because of the caller's identity.",
);

/// The role that the caller's certificate names; `None` without one. The TLS layer has checked by
/// then that our CA signed it.
#[must_use]
pub fn peer_role<T>(request: &Request<T>) -> Option<String> {
    let certificates = request.peer_certs()?;
    let (_, certificate) = X509Certificate::from_der(certificates.first()?).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            GeneralName::DNSName(name) => name
                .strip_suffix(RPC_DOMAIN)?
                .strip_suffix('.')
                .map(ToOwned::to_owned),
            _ => None,
        })
}

/// Lets the call pass if its caller has one of `roles`.
///
/// # Errors
/// `PERMISSION_DENIED` for every other caller, counted.
pub fn allow<T>(request: &Request<T>, roles: &[&str]) -> Result<(), Status> {
    let role = peer_role(request);
    if role.as_deref().is_some_and(|role| roles.contains(&role)) {
        return Ok(());
    }
    DENIED.increment(1);
    tracing::warn!(peer.role = role, "a call is refused");
    Err(Status::permission_denied(
        "this role may not call this service",
    ))
}
