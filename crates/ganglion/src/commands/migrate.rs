//! `ganglion migrate`

use anyhow::Context as _;
use clap::Args;
use ganglion_launcher::migrate;

use crate::commands::ConfigFile;
use crate::output::say;

/// Applies the migrations that are built in to `[postgres] primary`, whose user must own the schema.
#[derive(Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    config: ConfigFile,
}

impl Migrate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let postgres = self.config.postgres()?;
        let password = match &postgres.password_file {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .with_context(|| format!("postgres.password_file {}", file.display()))?,
            ),
            None => None,
        };
        let password = password.as_deref().map(str::trim_end);
        let applied = migrate(&postgres.primary, password, None).await?;
        for migration in &applied {
            say(&format!(
                "applied {:04} {}",
                migration.version, migration.description
            ));
        }
        if applied.is_empty() {
            say("nothing to do: the schema is the newest");
        }
        Ok(())
    }
}
