//! Joins, leaves, invites, kicks, bans (client-server API, "Room membership").

use ganglion_event_rules::Power;
use ganglion_model::{MatrixError, Membership};
use ganglion_proto::persister::set_membership::Action;
use ganglion_proto::persister::{SetMembership, UpdateProfile};
use ganglion_storage::rooms;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedUserId};

use super::local::{Intent, VOUCHER, parse_content, parse_user, unchanged};
use super::part::{Part, Step};
use super::room::Room;
use super::{Done, OutcomeDone, RoomShard, done};

/// Local members asked for when somebody must vouch for a restricted join.
const CANDIDATES: i64 = 50;

impl RoomShard {
    pub(super) async fn set_membership(
        &self,
        room: &mut Room,
        set: &SetMembership,
        part: &mut Part,
    ) -> Step<Done> {
        let sender = parse_user(&set.sender)?;
        let target = parse_user(&set.target)?;
        let mut content = parse_content(&set.content)?;
        let keys = [
            member_key(&sender),
            member_key(&target),
            key("m.room.join_rules"),
        ];
        self.ensure_state(room, &keys).await?;
        let now = membership(room, &target);
        let action = set.action();
        // Already so, as a repeated request finds it.
        if matches!(
            (action, now),
            (Action::Join, Some(Membership::Join)) | (Action::Leave, Some(Membership::Leave))
        ) {
            return Ok(unchanged_member(room, &target));
        }
        let wanted = required(action, now)?;
        content.insert("membership".to_owned(), text(wanted.as_str()));
        if action == Action::Join
            && set.allowed_by_join_rule
            && now != Some(Membership::Invite)
            && let Some(voucher) = self.voucher(room).await?
        {
            content.insert(VOUCHER.to_owned(), text(voucher.as_str()));
        }
        let intent = Intent::state(sender, "m.room.member", target.as_str(), content);
        if let Some(same) = unchanged(room, &intent) {
            return Ok(same);
        }
        self.append(room, part, intent).await?;
        Ok(done(room, part))
    }

    /// A joined user of this server with the power to invite, if the join rule asks for one
    /// (client-server API, "Restricted rooms").
    async fn voucher(&self, room: &mut Room) -> Step<Option<OwnedUserId>> {
        let rule = room.state("m.room.join_rules", "");
        let rule = rule.and_then(|held| held.event.content_text("join_rule"));
        if !matches!(rule.as_deref(), Some("restricted" | "knock_restricted")) {
            return Ok(None);
        }
        self.ensure_state(room, &[key("m.room.create"), key("m.room.power_levels")])
            .await?;
        let mut candidates = power_of(room)?.listed_users();
        let primary = self.shared.db.primary().await?;
        let server = self.shared.server_name.as_str();
        let members =
            rooms::joined_members_of_server(&primary, self.shard, room.nid, server, CANDIDATES);
        candidates.extend(members.await?.iter().filter_map(|id| parse_user(id).ok()));
        candidates.retain(|user| user.server_name() == self.shared.server_name);
        candidates.truncate(usize::try_from(CANDIDATES).unwrap_or(usize::MAX));
        let keys: Vec<_> = candidates.iter().map(member_key).collect();
        self.ensure_state(room, &keys).await?;
        let levels = power_of(room)?;
        let voucher = candidates.into_iter().find(|user| {
            membership(room, user) == Some(Membership::Join)
                && levels.reaches(user, levels.invite())
        });
        voucher.map(Some).ok_or_else(|| {
            MatrixError::new(
                400,
                "M_UNABLE_TO_GRANT_JOIN",
                "no user of this server may let you into this room",
            )
            .into()
        })
    }

    /// Writes the user's profile into their member event, if they are joined and it differs.
    pub(super) async fn update_profile(
        &self,
        room: &mut Room,
        update: &UpdateProfile,
        part: &mut Part,
    ) -> Step<Done> {
        let user = parse_user(&update.user_id)?;
        self.ensure_state(room, &[member_key(&user)]).await?;
        if membership(room, &user) != Some(Membership::Join) {
            return Ok(unchanged_member(room, &user));
        }
        let mut content = member_content(room, &user)?;
        for (field, value) in [
            ("displayname", &update.displayname),
            ("avatar_url", &update.avatar_url),
        ] {
            match value {
                Some(value) => content.insert(field.to_owned(), text(value)),
                None => content.remove(field),
            };
        }
        // A vouched-for join stays one without its voucher: the user is in the room already.
        content.remove(VOUCHER);
        let intent = Intent::state(user.clone(), "m.room.member", user.as_str(), content);
        if let Some(same) = unchanged(room, &intent) {
            return Ok(same);
        }
        self.append(room, part, intent).await?;
        Ok(done(room, part))
    }
}

/// The membership that an action leads to, if it makes sense now; the authorisation rules then say
/// who may do it.
fn required(action: Action, now: Option<Membership>) -> Result<Membership, MatrixError> {
    use Membership::{Ban, Invite, Join, Knock, Leave};
    match (action, now) {
        (Action::Join, _) => Ok(Join),
        (Action::Knock, _) => Ok(Knock),
        (Action::Ban, _) => Ok(Ban),
        (Action::Invite, Some(Join)) => Err(MatrixError::forbidden("already in the room")),
        (Action::Invite, _) => Ok(Invite),
        (Action::Leave, Some(Join | Invite | Knock)) => Ok(Leave),
        (Action::Leave, Some(Ban)) => Err(MatrixError::forbidden("you are banned from this room")),
        (Action::Leave, _) => Err(MatrixError::forbidden("you are not in this room")),
        (Action::Kick, Some(Join | Invite | Knock)) => Ok(Leave),
        (Action::Kick, _) => Err(MatrixError::forbidden("the user is not in the room")),
        (Action::Unban, Some(Ban)) => Ok(Leave),
        (Action::Unban, _) => Err(MatrixError::forbidden("the user is not banned")),
        (Action::Unspecified, _) => Err(MatrixError::new(
            400,
            "M_UNRECOGNIZED",
            "an action of a later version",
        )),
    }
}

pub(super) fn key(event_type: &str) -> crate::words::StateKey {
    (event_type.to_owned(), String::new())
}

pub(super) fn member_key(user: &OwnedUserId) -> crate::words::StateKey {
    ("m.room.member".to_owned(), user.to_string())
}

fn text(value: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(value.to_owned())
}

/// A user's membership, where it was loaded; `None` if there is no member event.
pub(super) fn membership(room: &Room, user: &OwnedUserId) -> Option<Membership> {
    room.state("m.room.member", user.as_str())?.membership()
}

fn member_content(room: &Room, user: &OwnedUserId) -> Result<CanonicalJsonObject, MatrixError> {
    let held = room.state("m.room.member", user.as_str());
    held.map_or_else(
        || Ok(CanonicalJsonObject::new()),
        |held| parse_content(held.event.content.get().as_bytes()),
    )
}

fn unchanged_member(room: &Room, user: &OwnedUserId) -> Done {
    let held = room.state("m.room.member", user.as_str());
    Done::Unchanged(OutcomeDone {
        event_id: held
            .map(|held| held.event.event_id.to_string())
            .unwrap_or_default(),
        value: String::new(),
        position: 0,
    })
}

/// Whether a user is joined and may set a state of this type; loads what that depends on.
pub(super) async fn may_set(
    shard: &RoomShard,
    room: &mut Room,
    user: &OwnedUserId,
    event_type: &str,
) -> Step<bool> {
    let keys = [
        key("m.room.create"),
        key("m.room.power_levels"),
        member_key(user),
    ];
    shard.ensure_state(room, &keys).await?;
    Ok(membership(room, user) == Some(Membership::Join)
        && power_of(room)?.may_send(user, event_type, true))
}

/// The power levels of a room whose create event and power levels are loaded.
pub(super) fn power_of(room: &Room) -> Result<Power, MatrixError> {
    let create = room
        .state("m.room.create", "")
        .ok_or_else(MatrixError::internal)?;
    let levels = room.state("m.room.power_levels", "");
    Ok(Power::new(
        room.version,
        &create.event.sender,
        &create.event.content,
        levels.map(|held| &*held.event.content),
    ))
}
