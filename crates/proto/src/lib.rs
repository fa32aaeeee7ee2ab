//! The generated gRPC and log messages of `proto/`, checked in: no build needs a protoc.
//!
//! `make proto` (the test `generated_code_is_up_to_date` with `UPDATE_PROTO=1`) renews them.

#![allow(
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::wildcard_imports,
    clippy::large_futures,
    unused_qualifications,
    unreachable_pub,
    reason = "generated code"
)]

/// What a shard's stream carries.
pub mod log {
    include!("generated/ganglion.log.v1.rs");
}

/// Commands to the owner of a shard.
pub mod persister {
    include!("generated/ganglion.persister.v1.rs");
}

/// What the streams of soft state carry.
pub mod soft {
    include!("generated/ganglion.soft.v1.rs");
}
