//! Least privilege, and statements that PostgreSQL understands.

use std::str::FromStr as _;

use ganglion_config::Config;
use ganglion_launcher::Role;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::sandbox::{connect, shared};

#[tokio::test]
async fn every_statement_is_prepared_by_a_migrated_database() {
    let cluster = shared().await;
    let client = connect(&cluster.facts.postgres.primary).await;
    for statement in ganglion_storage::statements() {
        if let Err(error) = client.prepare(statement).await {
            panic!("{statement}\n{error:?}");
        }
    }
}

/// The tables whose rows a client-reader may change: its own row among the instances.
const READER_WRITES: [&str; 1] = ["instances"];
/// What users report is for the operator only.
const READER_NEVER_READS: [&str; 1] = ["reports"];
/// From these the event-persister may not delete, and these it may not change.
const NEVER_DELETED: [&str; 14] = [
    "events",
    "shards",
    "generations",
    "id_allocator",
    "users",
    "event_types",
    "state_slots",
    "rooms",
    "room_changes",
    "snapshots",
    "user_memberships",
    "accounts",
    "registration_tokens",
    "reports",
];
const NEVER_CHANGED: [&str; 10] = [
    "batches",
    "generations",
    "commands",
    "users",
    "rooms",
    "snapshots",
    "room_changes",
    "user_memberships",
    "login_tokens",
    "reports",
];

#[tokio::test]
async fn a_client_reader_may_only_read() {
    let client = as_role(Role::ClientReader).await;
    for table in tables(&client).await {
        if READER_WRITES.contains(&table.as_str()) {
            continue;
        }
        let read = format!("SELECT * FROM {table} LIMIT 1");
        if READER_NEVER_READS.contains(&table.as_str()) {
            refused(&client, &read).await;
        } else {
            client.query(&read, &[]).await.unwrap();
        }
        for statement in writes(&client, &table).await {
            refused(&client, &statement).await;
        }
    }
    shapes_nothing(&client).await;
}

#[tokio::test]
async fn an_event_persister_deletes_and_changes_no_history() {
    let client = as_role(Role::EventPersister).await;
    for table in NEVER_DELETED {
        refused(&client, &format!("DELETE FROM {table}")).await;
    }
    for table in NEVER_CHANGED {
        let [_, update, ..] = writes(&client, table).await;
        refused(&client, &update).await;
    }
    // A partition has no rights of its own that would go around its table's.
    refused(&client, "DELETE FROM events_0").await;
    for table in tables(&client).await {
        refused(&client, &format!("TRUNCATE {table}")).await;
    }
    shapes_nothing(&client).await;
}

/// What a pusher may write: its leases, its logs, what it found.
const PUSHER_WRITES: [&str; 6] = [
    "instances",
    "shards",
    "batches",
    "generations",
    "commands",
    "notification_exceptions",
];
/// What is none of its business.
const HIDDEN_FROM_PUSHER: [&str; 8] = [
    "accounts",
    "devices",
    "access_tokens",
    "refresh_tokens",
    "profiles",
    "filters",
    "registration_tokens",
    "jobs",
];

#[tokio::test]
async fn a_pusher_sees_no_secrets_and_writes_no_events() {
    let client = as_role(Role::Pusher).await;
    for table in HIDDEN_FROM_PUSHER {
        refused(&client, &format!("SELECT * FROM {table} LIMIT 1")).await;
    }
    for table in tables(&client).await {
        let [insert, update, delete, truncate] = writes(&client, &table).await;
        refused(&client, &truncate).await;
        if !PUSHER_WRITES.contains(&table.as_str()) {
            for statement in [insert, update, delete] {
                refused(&client, &statement).await;
            }
        }
    }
    refused(&client, "DELETE FROM notification_exceptions").await;
    shapes_nothing(&client).await;
}

/// A connection as a role has it, with the user and the password of its configuration.
async fn as_role(role: Role) -> Client {
    let cluster = shared().await;
    let config = Config::load(&cluster.cluster.config_of(role), []).unwrap();
    // Straight to the primary: what is tried here must not leave traces in a pooled connection.
    let mut address = tokio_postgres::Config::from_str(&cluster.facts.postgres.primary).unwrap();
    let user = tokio_postgres::Config::from_str(&config.postgres.primary).unwrap();
    let password = std::fs::read_to_string(config.postgres.password_file.unwrap()).unwrap();
    address
        .user(user.get_user().unwrap())
        .password(password.trim());
    let (client, connection) = address.connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let query =
        "SELECT current_user = $1 AND NOT usesuper FROM pg_user WHERE usename = current_user";
    let row = client.query_one(query, &[&role.database_user()]).await;
    assert!(row.unwrap().get::<_, bool>(0));
    client
}

/// All tables of the schema but partitions.
async fn tables(client: &Client) -> Vec<String> {
    let query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace \
        AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT LIKE '\\_sqlx%' ORDER BY 1";
    let rows = client.query(query, &[]).await.unwrap();
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(tables.len() > 20, "{tables:?}");
    tables
}

/// Ways to write to a table. PostgreSQL looks at rights before it looks at values.
async fn writes(client: &Client, table: &str) -> [String; 4] {
    let query = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass \
        AND attnum = 1";
    let column: String = client.query_one(query, &[&table]).await.unwrap().get(0);
    [
        format!("INSERT INTO {table} DEFAULT VALUES"),
        format!("UPDATE {table} SET {column} = NULL"),
        format!("DELETE FROM {table}"),
        format!("TRUNCATE {table}"),
    ]
}

async fn shapes_nothing(client: &Client) {
    for statement in [
        "DROP TABLE events",
        "ALTER TABLE events ADD COLUMN x int",
        "ALTER TABLE shards OWNER TO CURRENT_USER",
        "CREATE TABLE x (y int)",
        "CREATE INDEX ON events (depth)",
        "CREATE SCHEMA x",
        "CREATE ROLE x",
        "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET ROLE postgres",
        "COPY events TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "ALTER SYSTEM SET fsync = off",
    ] {
        refused(client, statement).await;
    }
}

/// Refused for want of a right, for no other reason.
async fn refused(client: &Client, statement: &str) {
    let outcome = client.batch_execute(statement).await;
    let error = outcome.expect_err(statement);
    let code = error.code();
    // An owner's act on what others own is answered in the same way.
    assert_eq!(
        code,
        Some(&SqlState::INSUFFICIENT_PRIVILEGE),
        "{statement}: {error:?}"
    );
}
