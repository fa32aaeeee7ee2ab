//! The writer of a user shard: registration, logins, account data, filters, profiles.
//! `cluster::owner` commits what it prepares in batches.
//!
//! Nothing is kept between batches: what a batch depends on is read from the primary in a few
//! statements for all its commands ([`facts`]), and the commands are then executed in order, each
//! seeing what those before it did ([`draft`]).

mod draft;
mod facts;
pub(crate) mod jobs;

use std::sync::Arc;

use ganglion_cluster::owner::{BatchStart, Outcome, Pending, Prepared, ShardWriter};
use ganglion_model::Shard;
use ganglion_proto::persister::UserCommand;
use ganglion_storage::StorageError;
use ganglion_storage::batch::RoomRows;
use tokio::sync::Notify;

use self::draft::Draft;
use self::facts::Facts;
use crate::shared::Shared;

/// The writer of one user shard.
pub(crate) struct UserShard {
    shared: Arc<Shared>,
    shard: Shard,
    /// Told when a batch with new jobs is committed.
    jobs: Arc<Notify>,
    has_jobs: bool,
}

impl UserShard {
    /// `jobs` wakes [`jobs::Jobs::run`].
    pub(crate) fn new(shared: Arc<Shared>, shard: Shard, jobs: Arc<Notify>) -> Self {
        Self {
            shared,
            shard,
            jobs,
            has_jobs: false,
        }
    }
}

impl ShardWriter for UserShard {
    type Command = UserCommand;

    async fn prepare(
        &mut self,
        commands: &[&Pending<UserCommand>],
        start: BatchStart,
    ) -> Result<Prepared, StorageError> {
        let wanted: Vec<&UserCommand> = commands.iter().map(|pending| &pending.command).collect();
        let facts = Facts::load(&self.shared, self.shard, &wanted).await?;
        let mut draft = Draft::new(facts, start.next, start.now_ms);
        let outcomes = commands
            .iter()
            .map(|pending| {
                draft
                    .execute(pending.id, &pending.command)
                    .unwrap_or_else(Outcome::Refused)
            })
            .collect();
        self.has_jobs = !draft.rows.jobs.is_empty();
        Ok(Prepared {
            rooms: RoomRows::default(),
            users: draft.rows,
            last: draft.next - 1,
            entries: draft.entries,
            outcomes,
        })
    }

    fn committed(&mut self) {
        if std::mem::take(&mut self.has_jobs) {
            self.jobs.notify_one();
        }
    }

    fn reset(&mut self) {
        self.has_jobs = false;
    }
}
