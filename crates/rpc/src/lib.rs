//! gRPC between the roles: the only place that knows tonic's transport.
//!
//! Every connection is mutual TLS. A role's certificate bears the DNS name
//! `<role>.ganglion.internal`; a server asks [`peer_role`] who is calling and [`allow`]s by it.
#![warn(missing_docs)]

mod clients;
mod identity;
mod server;
mod status;
mod trace;

pub use clients::{RpcClients, with_deadline};
pub use identity::{RPC_DOMAIN, allow, peer_role};
pub use server::{RpcServer, deadline_of};
pub use status::{RpcFailure, busy, classify, unavailable, wrong_owner};
pub use tonic::transport::Channel;
pub use trace::enter_remote_span;
