//! The syncing user's own push rules.

use std::sync::Arc;

use ganglion_model::UserNid;
use ganglion_rooms::View;
use ganglion_storage::{StorageError, accounts};
use ruma::UserId;
use ruma::push::Ruleset;

use crate::answer::Pass;
use crate::followed::Kept;
use crate::moment::Moment;

/// `None` for who never changed them.
#[derive(Clone)]
pub(crate) struct OwnRules(Option<Arc<Ruleset>>);

impl Kept for OwnRules {
    type Change = ();

    async fn load(view: &mut View, user: UserNid) -> Result<Self, StorageError> {
        let found = accounts::own_push_rules(view.snapshot().await?, &[user]).await?;
        let parsed = found.first().and_then(|(_, user_id, stored)| {
            let user_id = UserId::parse(user_id).ok()?;
            Some(Arc::new(ganglion_push_rules::rules(Some(stored), &user_id)))
        });
        Ok(Self(parsed))
    }

    fn apply(&mut self, (): ()) -> bool {
        // They are read again.
        false
    }
}

impl Pass<'_> {
    /// The rules, at or behind the moment.
    ///
    /// # Errors
    /// If they are not in memory and cannot be read.
    pub(crate) async fn own_rules(&mut self) -> Result<Option<Arc<Ruleset>>, StorageError> {
        let engine = self.engine;
        let (shard, user) = self.user_place();
        if !self.is_followed {
            return Ok(OwnRules::load(&mut self.view, user).await?.0);
        }
        let generation = self.moment.generation;
        let now = || Moment::of_tail(&engine.tail, generation, shard);
        let fresh = || View::new(&engine.db, None);
        let rules = engine.tail.own_rules();
        let kept = rules.get(&mut self.view, (shard, user), now, fresh).await?;
        Ok(kept.0.clone())
    }
}
