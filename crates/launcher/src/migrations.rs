//! The database's schema, built in: the tool works without the source tree.

use std::path::Path;

use anyhow::{Context as _, bail};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};

macro_rules! built_in {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$((
            $version,
            $name,
            include_str!(concat!("../../../migrations/", $name, ".sql")),
        )),*]
    };
}

/// Version, file name without its ending, text. A test compares it with the folder.
const MIGRATIONS: &[(i64, &str, &str)] = built_in![
    1 "0001_fabric",
    2 "0002_words",
    3 "0003_room_logs",
    4 "0004_user_logs",
    5 "0005_partitions_and_rights",
    6 "0006_receipts",
    7 "0007_notifications",
    8 "0008_presence",
    9 "0009_moderation",
    10 "0010_spaces_and_annotations",
];

/// A migration that was applied now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
}

/// Brings a database to the newest schema and tells what it did.
///
/// It takes the migrations in `folder`, or those built in. `dsn` is `key=value ...` as libpq reads it, or a URL; migrations need a direct
/// connection, not one through PgBouncer. Two at once wait for each other.
///
/// # Errors
/// No connection; the database has a migration that is unknown here or differs; a migration fails.
pub async fn migrate(
    dsn: &str,
    password: Option<&str>,
    folder: Option<&Path>,
) -> anyhow::Result<Vec<Applied>> {
    let migrator = match folder {
        Some(folder) => Migrator::new(folder).await?,
        None => built_in(),
    };
    let mut connection = connect(dsn, password)
        .await
        .context("connect to the primary")?;
    let before = versions(&mut connection).await?;
    migrator.run(&mut connection).await.context("migrate")?;
    let after = versions(&mut connection).await?;
    connection.close().await?;
    let applied = migrator.iter().filter(|migration| {
        after.contains(&migration.version) && !before.contains(&migration.version)
    });
    Ok(applied
        .map(|migration| Applied {
            version: migration.version,
            description: migration.description.to_string(),
        })
        .collect())
}

fn built_in() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, text)| {
        let description = name
            .split_once('_')
            .map_or(*name, |(_, words)| words)
            .replace('_', " ");
        let kind = MigrationType::Simple;
        Migration::new(
            *version,
            description.into(),
            kind,
            text.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

async fn versions(connection: &mut PgConnection) -> anyhow::Result<Vec<i64>> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
    if !exists {
        return Ok(Vec::new());
    }
    Ok(
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(connection)
            .await?,
    )
}

/// sqlx reads URLs only; what the configuration holds is mostly of libpq's other form.
async fn connect(dsn: &str, password: Option<&str>) -> anyhow::Result<PgConnection> {
    let parsed: tokio_postgres::Config = dsn.parse().context("postgres.primary")?;
    let mut options = PgConnectOptions::new_without_pgpass().ssl_mode(PgSslMode::Disable);
    match parsed.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => options = options.host(host),
        Some(tokio_postgres::config::Host::Unix(path)) => options = options.socket(path),
        None => bail!("postgres.primary: names no host"),
    }
    if let Some(port) = parsed.get_ports().first() {
        options = options.port(*port);
    }
    if let Some(user) = parsed.get_user() {
        options = options.username(user);
    }
    if let Some(name) = parsed.get_dbname() {
        options = options.database(name);
    }
    let own = parsed
        .get_password()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    if let Some(password) = password.map(ToOwned::to_owned).or(own) {
        options = options.password(&password);
    }
    Ok(options.disable_statement_logging().connect().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_the_folder_are_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql"))
            .collect();
        files.sort();
        let listed: Vec<_> = MIGRATIONS
            .iter()
            .map(|(_, name, _)| format!("{name}.sql"))
            .collect();
        assert_eq!(listed, files);
        for (version, name, _) in MIGRATIONS {
            assert!(name.starts_with(&format!("{version:04}_")));
        }
    }
}
