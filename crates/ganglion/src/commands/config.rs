//! `ganglion config`

use clap::Subcommand;

use crate::commands::ConfigFile;
use crate::output::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Reads a configuration as a role would and names everything that is wrong with it
    Check(ConfigFile),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Check(file) = self;
        file.load()?;
        say(&format!("{}: good", file.path().display()));
        Ok(())
    }
}
