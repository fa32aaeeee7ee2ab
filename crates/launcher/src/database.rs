//! Talking to PostgreSQL as an administrator.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio_postgres::{Client, Config, NoTls};

use crate::secrets::{REPLICATION_USER, Secrets};

/// Connects to a database. `dsn` is what `[postgres]` of the configuration holds, `password_file` a
/// file with the password.
///
/// # Errors
/// The file cannot be read, or there is no connection.
pub async fn connect(dsn: &str, password_file: Option<&Path>) -> anyhow::Result<Client> {
    let mut config: Config = dsn.parse().context("the database's address")?;
    if let Some(file) = password_file {
        let password = std::fs::read_to_string(file);
        config.password(
            password
                .with_context(|| format!("read {}", file.display()))?
                .trim_end(),
        );
    }
    config.connect_timeout(Duration::from_secs(5));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an administrator's connection ended");
        }
    });
    Ok(client)
}

/// Makes the users of the roles and of the replica, with their passwords, and the
/// database; what is there is set anew.
pub(crate) async fn prepare(
    dsn_of: impl Fn(&str) -> String,
    secrets: &Secrets,
) -> anyhow::Result<()> {
    let client = connect(&dsn_of("postgres"), None).await?;
    let mut users = vec![(
        REPLICATION_USER,
        secrets.replication.as_str(),
        "REPLICATION",
    )];
    users.extend(
        secrets
            .role_users()
            .map(|(user, password)| (user, password, "")),
    );
    for (user, password, right) in users {
        let exists = "SELECT 1 FROM pg_roles WHERE rolname = $1";
        let verb = if client.query_opt(exists, &[&user]).await?.is_some() {
            "ALTER"
        } else {
            "CREATE"
        };
        // Names and passwords are ours: letters, digits, underscores.
        client
            .batch_execute(&format!(
                "{verb} ROLE {user} LOGIN {right} PASSWORD '{password}'"
            ))
            .await
            .with_context(|| format!("make the database user {user}"))?;
    }
    let exists = "SELECT 1 FROM pg_database WHERE datname = 'ganglion'";
    if client.query_opt(exists, &[]).await?.is_none() {
        client.batch_execute("CREATE DATABASE ganglion").await?;
    }
    Ok(())
}

/// Sets a parameter of the whole server and makes it known; `None` takes it back.
pub(crate) async fn set_parameter(
    dsn: &str,
    name: &str,
    value: Option<&str>,
) -> anyhow::Result<()> {
    let client = connect(dsn, None).await?;
    let set = match value {
        Some(value) => format!("ALTER SYSTEM SET {name} = '{value}'"),
        None => format!("ALTER SYSTEM RESET {name}"),
    };
    client
        .batch_execute(&set)
        .await
        .with_context(|| format!("set {name}"))?;
    client.batch_execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

/// Whether the replica receives what the primary writes.
pub(crate) async fn is_streaming(primary: &str) -> anyhow::Result<bool> {
    let client = connect(primary, None).await?;
    let query = "SELECT 1 FROM pg_stat_replication
                 WHERE application_name = 'replica' AND state = 'streaming'";
    Ok(client.query_opt(query, &[]).await?.is_some())
}

/// Whether a server takes connections.
pub(crate) async fn answers(dsn: &str) -> bool {
    let asked = async {
        connect(dsn, None)
            .await?
            .simple_query("SELECT 1")
            .await
            .map_err(Into::into)
    };
    let asked: anyhow::Result<_> = asked.await;
    asked.is_ok()
}
