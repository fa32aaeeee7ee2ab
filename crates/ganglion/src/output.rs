//! Where the tool's answers and complaints go.

use std::process::ExitCode;

/// Prints a line of the answer.
#[expect(clippy::print_stdout, reason = "it is what the caller asked for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Tells why it failed.
#[expect(clippy::print_stderr, reason = "who called the tool reads it")]
pub(crate) fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("ganglion: {error:#}");
    ExitCode::FAILURE
}
