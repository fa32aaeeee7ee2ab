//! What keeps a former owner from writing: the fence, asked in every batch.

use ganglion_config::Config;
use ganglion_launcher::Role;
use ganglion_model::{Clock, CommandId, Shard};
use ganglion_storage::batch::{self, CommandRow};
use ganglion_storage::{Batch, BatchError, Database, Fence};

use super::owners::{owner_of, settled};
use crate::sandbox::{connect, shared};

/// With the rights of an event-persister, in the name of its owners and of others.
#[tokio::test]
async fn a_batch_is_written_only_under_the_lease_of_now() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(serde_json::json!({})).await;
    let admin = connect(&cluster.facts.postgres.primary).await;
    settled(&admin, &cluster.cluster).await;
    let owner = owner_of(&admin, &room).await.unwrap();
    let shard = Shard::of_room(&ruma::RoomId::parse(&room).unwrap());
    let query = "SELECT epoch FROM shards WHERE shard = $1";
    let row = admin.query_one(query, &[&shard.number()]).await.unwrap();
    let epoch: i64 = row.get(0);

    let config = Config::load(&cluster.cluster.config_of(Role::EventPersister), []).unwrap();
    let db = Database::open(&config.postgres, "a test").unwrap();
    for process in &cluster.facts.processes {
        for written_under in [epoch - 1, epoch, epoch + 1] {
            let fence = Fence {
                shard,
                epoch: written_under,
                owner: process.instance,
            };
            let is_held = written_under == epoch && process.instance.to_string() == owner;
            let id = CommandId::random();
            let row = CommandRow {
                id,
                reply: Vec::new(),
            };
            // A command's answer alone takes no position: the real owner does not stumble over it.
            let batch = Batch {
                commands: vec![row],
                ..Batch::default()
            };
            let now_ms = Clock::system().now_ms();
            let connection = db.primary().await.unwrap();
            let outcome = Box::pin(batch::commit(connection, &fence, &batch, now_ms)).await;
            assert_eq!(outcome.is_ok(), is_held, "{fence:?}: {outcome:?}");
            if !is_held {
                assert!(matches!(outcome, Err(BatchError::Fenced)), "{outcome:?}");
            }
            let connection = db.primary().await.unwrap();
            let found = batch::find_commands(&connection, shard, &[id]).await;
            assert_eq!(found.unwrap().len(), usize::from(is_held));
        }
    }
}
