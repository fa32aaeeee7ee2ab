//! Push rules: account data that only its own commands change.

use ganglion_cluster::owner::Outcome;
use ganglion_model::{MatrixError, UserNid};
use ganglion_proto::persister::ChangePushRule;
use ganglion_proto::persister::change_push_rule::Change as Wanted;
use ganglion_push_rules::change::{Change, MAX_BYTES, apply};
use ganglion_push_rules::{Content, TYPE, rules};
use ruma::UserId;
use ruma::push::RuleKind;

use super::Draft;

impl Draft {
    pub(super) fn change_push_rule(
        &mut self,
        user: UserNid,
        user_id: &str,
        wish: &ChangePushRule,
    ) -> Result<Outcome, MatrixError> {
        let user_id = UserId::parse(user_id).map_err(|_invalid| MatrixError::internal())?;
        let stored = self.account_data(user, None, TYPE);
        let mut global = rules(stored, &user_id);
        let change = match &wish.change {
            Some(Wanted::Put(put)) => Change::Put {
                body: &put.body,
                before: put.before.as_deref(),
                after: put.after.as_deref(),
            },
            Some(Wanted::Delete(_)) => Change::Delete,
            Some(Wanted::Enabled(enabled)) => Change::Enable(*enabled),
            Some(Wanted::Actions(actions)) => Change::Actions(actions),
            None => return Err(MatrixError::internal()),
        };
        let kind = RuleKind::from(wish.kind.as_str());
        apply(&mut global, (&kind, &wish.rule_id), change)?;
        let content =
            serde_json::to_vec(&Content { global }).map_err(|_not_json| MatrixError::internal())?;
        if content.len() > MAX_BYTES {
            return Err(MatrixError::too_large("these are too many push rules"));
        }
        if stored == Some(content.as_slice()) {
            return Ok(Outcome::Unchanged(self.outcome(String::new())));
        }
        self.put_account_data((user, None, TYPE), content);
        Ok(self.done(String::new()))
    }
}
