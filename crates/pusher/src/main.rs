//! The pusher: a consumer of the room logs that judges events by the push rules of users.

use std::process::ExitCode;

fn main() -> ExitCode {
    ganglion_runtime::main::<ganglion_pusher::Pusher>()
}
