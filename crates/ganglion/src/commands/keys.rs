//! `ganglion keys`

use clap::Subcommand;
use ganglion_launcher::signing_key_line;

use crate::output::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints a new signing key, as `secrets.signing_key_file` holds it: keep it secret
    Generate,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Generate = self;
        say(&signing_key_line());
        Ok(())
    }
}
