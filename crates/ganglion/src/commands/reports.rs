//! `ganglion reports`: what users have reported.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ganglion_launcher::connect;

use crate::commands::ConfigFile;
use crate::output::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints the newest reports, one a line: time (milliseconds since the epoch), reporter, what, reason
    List(List),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// How many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self::List(arguments) = self;
        let postgres = arguments.config.postgres()?;
        let client = connect(&postgres.primary, postgres.password_file.as_deref()).await?;
        // What is named need not exist: whoever reads it should know.
        let query = "SELECT r.at, u.user_id, r.room_id, r.event_id, r.user_id, r.reason,
                     EXISTS (SELECT FROM rooms k WHERE k.room_id = r.room_id)
                     OR EXISTS (SELECT FROM users k WHERE k.user_id = r.user_id)
                     FROM reports r JOIN users u ON u.user_nid = r.reporter
                     ORDER BY r.at DESC, r.report_id LIMIT $1";
        let rows = client.query(query, &[&arguments.limit]).await;
        for row in rows.context("read the reports, as a database user who may")? {
            let (at, reporter, reason): (i64, String, String) =
                (row.get(0), row.get(1), row.get(5));
            let named: Vec<String> = (2..5).filter_map(|index| row.get(index)).collect();
            let unknown = if row.get(6) { "" } else { " (not known here)" };
            // A reason may hold anything, but not make lines of its own.
            say(&format!(
                "{at} {reporter} {}{unknown} {reason:?}",
                named.join(" ")
            ));
        }
        Ok(())
    }
}
