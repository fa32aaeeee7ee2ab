//! A model of what `/sync` must tell: random histories are played against the cluster, and every
//! answer is compared with what follows from the history by the specification's rules.

pub(crate) mod chain;
mod faults;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod judge;
pub(crate) mod moves;
pub(crate) mod world;
