//! What is printed when the cluster is ready.

use std::path::Path;

use ganglion_launcher::Facts;

use super::Registration;
use crate::output::say;

pub(super) fn print(
    folder: &Path,
    facts: &Facts,
    registration: Registration,
) -> anyhow::Result<()> {
    let folder = folder.canonicalize()?;
    let folder = folder.display();
    let plain = &facts.client_url_plain;
    say("\nGanglion is ready.\n");
    say(&format!(
        "  homeserver   {}  (authority: {})",
        facts.client_url,
        facts.ca_file.display()
    ));
    say(&format!(
        "               {plain}  (without TLS, this machine only)"
    ));
    say(&format!("  server name  {}", facts.server_name));
    say("");
    match registration {
        Registration::Open => {
            say("  Register the first user:");
            say(&format!(
                "    curl -s {plain}/_matrix/client/v3/register \\"
            ));
            say("      -H 'Content-Type: application/json' \\");
            say(
                "      -d '{\"username\":\"alice\",\"password\":\"correct horse\",\"auth\":{\"type\":\"m.login.dummy\"}}'",
            );
            say("  or name the address above in any Matrix client.");
        }
        Registration::Token => {
            say("  Make a token to register with:");
            say(&format!(
                "    ganglion registration-tokens create --uses 1 --config {folder}/config/ganglion.toml"
            ));
        }
        Registration::Disabled => say("  Registration is disabled."),
    }
    say("");
    say(&format!("  logs         {folder}/logs"));
    for process in &facts.processes {
        say(&format!(
            "  metrics      {}/metrics  ({})",
            process.admin_url, process.name
        ));
    }
    say(&format!(
        "  metrics      {}  (haproxy)",
        facts.haproxy.metrics_url
    ));
    // Passwords stay in files: this text may be in a terminal that others see.
    let secrets = format!("{folder}/secrets");
    for (name, dsn) in [
        ("primary", &facts.postgres.primary),
        ("replica", &facts.postgres.replica),
    ] {
        let address = dsn.split(" password=").next().unwrap_or_default();
        say(&format!(
            "  {name:<12} PGPASSWORD=$(cat {secrets}/password-postgres) psql '{address}'"
        ));
    }
    let port = facts.redis.rsplit_once(':').map_or("", |(_, port)| port);
    say(&format!(
        "  redis        REDISCLI_AUTH=$(cat {secrets}/password-redis) redis-cli -p {port}"
    ));
    say("");
    say(
        "  Ctrl-C or `ganglion down` ends it; `ganglion status`, `scale` and `logs` are for the time until then.",
    );
    Ok(())
}
