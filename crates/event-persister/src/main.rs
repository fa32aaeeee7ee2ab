//! The event-persister: the only writer of logs.

use std::process::ExitCode;

fn main() -> ExitCode {
    ganglion_runtime::main::<ganglion_event_persister::EventPersister>()
}
