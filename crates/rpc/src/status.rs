//! The few outcomes that callers tell apart.

use tonic::{Code, Status};

const EPOCH: &str = "ganglion-epoch";

/// What a failed call means to its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcFailure {
    /// The callee does not own the shard; it knows this epoch of the lease (0: none).
    WrongOwner {
        /// The epoch.
        epoch: i64,
    },
    /// The callee's queue is full: nothing was done.
    Busy,
    /// Nobody knows what was done; the same command id may be sent again.
    Unavailable(String),
    /// The deadline passed; nobody knows what was done.
    Deadline,
    /// The callee does not let this role do that: a fault of configuration.
    Denied(String),
    /// Anything else; repeating it does not help.
    Other(String),
}

/// `FAILED_PRECONDITION` from who does not own the shard.
#[must_use]
pub fn wrong_owner(epoch: i64) -> Status {
    let mut status = Status::failed_precondition("another instance owns the shard");
    status.metadata_mut().insert(EPOCH, epoch.into());
    status
}

/// `RESOURCE_EXHAUSTED`: the queue is full.
#[must_use]
pub fn busy() -> Status {
    Status::resource_exhausted("the queue is full")
}

/// `UNAVAILABLE`: the outcome is unknown, or the callee is going.
#[must_use]
pub fn unavailable(why: &str) -> Status {
    Status::unavailable(why)
}

/// Sorts a failure.
#[must_use]
pub fn classify(status: &Status) -> RpcFailure {
    match status.code() {
        Code::FailedPrecondition => {
            let epoch = status.metadata().get(EPOCH);
            let epoch = epoch
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .unwrap_or(0);
            RpcFailure::WrongOwner { epoch }
        }
        Code::ResourceExhausted => RpcFailure::Busy,
        // A connection that breaks in the middle of a call comes as one of these.
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Aborted => {
            RpcFailure::Unavailable(status.message().to_owned())
        }
        Code::DeadlineExceeded => RpcFailure::Deadline,
        Code::PermissionDenied | Code::Unauthenticated => {
            RpcFailure::Denied(status.message().to_owned())
        }
        _ => RpcFailure::Other(format!("{}: {}", status.code(), status.message())),
    }
}

#[cfg(test)]
mod tests;
