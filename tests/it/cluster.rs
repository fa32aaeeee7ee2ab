//! What a cluster must stand.

mod fence;
mod kills;
mod load;
mod nul;
pub(crate) mod owners;
mod presence;
mod primary;
mod pusher;
mod redis;
mod replica;
mod retries;
mod rights;
mod routes;
mod rpc;
mod scaling;
mod stopped_owner;
