//! `ganglion registration-tokens`: who holds one may register where `accounts.registration` is
//! "token".

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ganglion_launcher::connect;
use rand::Rng as _;
use rand::distr::Alphanumeric;

use crate::commands::ConfigFile;
use crate::output::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes a token and prints it
    Create(Create),
    /// Prints all tokens with their uses
    List(ConfigFile),
}

#[derive(Args)]
pub(crate) struct Create {
    #[command(flatten)]
    config: ConfigFile,
    /// How many accounts it is good for [default: no limit]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    uses: Option<i32>,
    /// The token [default: a random one]
    #[arg(long)]
    token: Option<String>,
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(arguments) => arguments.run().await,
            Self::List(config) => list(&config).await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let random = || {
            rand::rng()
                .sample_iter(Alphanumeric)
                .take(24)
                .map(char::from)
                .collect()
        };
        let token = self.token.unwrap_or_else(random);
        // What the specification allows in m.login.registration_token.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
        if token.is_empty() || token.len() > 64 || !token.chars().all(allowed) {
            bail!("a token is 1 to 64 letters, digits and ._~-");
        }
        let postgres = self.config.postgres()?;
        let client = connect(&postgres.primary, postgres.password_file.as_deref()).await?;
        let insert = "INSERT INTO registration_tokens (token, uses_allowed) VALUES ($1, $2)
                      ON CONFLICT DO NOTHING";
        let made = client.execute(insert, &[&token, &self.uses]).await;
        if made.context("store the token, as a database user who may")? == 0 {
            bail!("there is a token `{token}` already");
        }
        say(&token);
        Ok(())
    }
}

async fn list(config: &ConfigFile) -> anyhow::Result<()> {
    let postgres = config.postgres()?;
    let client = connect(&postgres.primary, postgres.password_file.as_deref()).await?;
    let query = "SELECT token, completed, uses_allowed FROM registration_tokens ORDER BY token";
    for row in client.query(query, &[]).await? {
        let (token, completed): (String, i32) = (row.get(0), row.get(1));
        let allowed: Option<i32> = row.get(2);
        let allowed = allowed.map_or_else(|| "any".to_owned(), |uses| uses.to_string());
        say(&format!("{token:<24} {completed} of {allowed} used"));
    }
    Ok(())
}
