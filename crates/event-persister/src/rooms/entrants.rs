//! Nobody whose account is deactivated enters a room, or is asked to.
//!
//! A deactivation and an entry meet at the row of the account: the batch that lets somebody in holds
//! it and looks at it once more. So an entry is committed before the deactivation, and the job that
//! leaves the user's rooms finds it, or it is refused.

use std::collections::{HashMap, HashSet};

use ganglion_cluster::owner::Pending;
use ganglion_model::{MatrixError, Membership};
use ganglion_proto::persister::RoomCommand;
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::set_membership::Action;
use ganglion_storage::{StorageError, accounts};
use ruma::{CanonicalJsonValue, UserId};

use super::RoomShard;
use super::local::Intent;
use super::part::Step;
use super::room::Room;

const MEMBER: &str = "m.room.member";

impl RoomShard {
    /// Asks once for all users that a batch's commands let into rooms.
    pub(super) async fn load_entrants(
        &mut self,
        commands: &[&Pending<RoomCommand>],
    ) -> Result<(), StorageError> {
        self.entrants.clear();
        let targets = commands
            .iter()
            .filter_map(|pending| pending.command.command.as_ref())
            .flat_map(targets);
        let targets: HashSet<&str> = targets.filter(|user| self.is_ours(user)).collect();
        if !targets.is_empty() {
            let targets: Vec<&str> = targets.into_iter().collect();
            let gone = self.deactivated(&targets).await?;
            let known = targets.into_iter();
            self.entrants = known
                .map(|user| (user.to_owned(), gone.contains(user)))
                .collect::<HashMap<_, _>>();
        }
        Ok(())
    }

    /// The local user whom an event lets into the room or asks to come.
    pub(super) async fn entrant(&self, room: &Room, intent: &Intent) -> Step<Option<String>> {
        let (Some(user), MEMBER) = (&intent.state_key, intent.event_type.as_str()) else {
            return Ok(None);
        };
        let wanted = match intent.content.get("membership") {
            Some(CanonicalJsonValue::String(text)) => text.as_str(),
            _ => return Ok(None),
        };
        if !matches!(wanted, "join" | "invite" | "knock") || !self.is_ours(user) {
            return Ok(None);
        }
        let held = room.state(MEMBER, user);
        if held.and_then(|held| held.membership()) == Some(Membership::Join) {
            return Ok(None);
        }
        let gone = match self.entrants.get(user) {
            Some(gone) => *gone,
            None => !self.deactivated(&[user.as_str()]).await?.is_empty(),
        };
        if gone {
            let error = if intent.sender.as_str() == user {
                MatrixError::new(403, "M_USER_DEACTIVATED", "this account is deactivated")
            } else {
                MatrixError::forbidden("the account of this user is deactivated")
            };
            return Err(error.into());
        }
        Ok(Some(user.clone()))
    }

    async fn deactivated(&self, users: &[&str]) -> Result<HashSet<String>, StorageError> {
        accounts::deactivated(&self.shared.db.primary().await?, users).await
    }

    fn is_ours(&self, user: &str) -> bool {
        UserId::parse(user).is_ok_and(|user| user.server_name() == self.shared.server_name)
    }
}

/// Whom a command may let into a room.
fn targets(command: &Command) -> Vec<&str> {
    match command {
        Command::SetMembership(set)
            if matches!(set.action(), Action::Join | Action::Invite | Action::Knock) =>
        {
            vec![&set.target]
        }
        Command::SendEvent(send) if send.r#type == MEMBER => {
            send.state_key.as_deref().into_iter().collect()
        }
        Command::CreateRoom(create) => {
            let members = create.events.iter().filter(|event| event.r#type == MEMBER);
            let invited = members.map(|event| event.state_key.as_str());
            std::iter::once(create.creator.as_str())
                .chain(invited)
                .collect()
        }
        _ => Vec::new(),
    }
}
