//! The operator's tool: a whole cluster on one machine, migrations, keys, registration tokens.
//!
//! To add a subcommand: a file in `commands/` with its arguments and `run`, and a line here.

mod commands;
mod output;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::commands::Command;

#[derive(Parser)]
#[command(
    version,
    about = "Runs and administers Ganglion, a Matrix homeserver that is a cluster"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output::complain(&error.into()),
    };
    let outcome = runtime.block_on(arguments.command.run());
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::complain(&error),
    }
}
