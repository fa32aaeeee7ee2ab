//! The client-reader: the client-server API.

use std::process::ExitCode;

fn main() -> ExitCode {
    ganglion_runtime::main::<ganglion_client_reader::ClientReader>()
}
