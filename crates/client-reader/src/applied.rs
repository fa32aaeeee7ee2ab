//! What this process does with the logs it follows.

use std::sync::Arc;

use ganglion_accounts::TokenCache;
use ganglion_cluster::{Apply, LogBatch};
use ganglion_model::{Position, Shard};
use ganglion_sync::Tail;

/// Ended tokens first: who is woken by the tail must not find an old token valid.
pub(crate) struct Applied {
    pub(crate) tail: Tail,
    pub(crate) tokens: Arc<TokenCache>,
}

impl Apply for Applied {
    fn apply(&self, batch: &LogBatch) {
        self.tokens.apply(batch);
        self.tail.apply(batch);
    }

    fn restart(&self, shard: Shard, head: Position) {
        self.tokens.restart(shard, head);
        self.tail.restart(shard, head);
    }
}
