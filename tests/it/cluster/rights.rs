//! Least privilege, and statements that PostgreSQL understands.

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
