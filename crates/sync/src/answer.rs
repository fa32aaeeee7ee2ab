//! One response: which rooms are told of, and what of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ganglion_model::{EventNid, Position, RoomNid, Shard, SyncToken, UserNid};
use ganglion_rooms::fields::Fields;
use ganglion_rooms::ignored::Ignored;
use ganglion_rooms::{RoomEvent, View, Viewer, filter};
use ganglion_storage::timeline::{self, Range};
use ganglion_storage::{Heads, StorageError};

use crate::account_data::{self, AccountData, default_push_rules};
use crate::engine::{Parts, SyncRequest};
use crate::lazy::Members;
use crate::moment::Moment;
use crate::plan::{Asked, Base, Plan, plan};
use crate::receipts;
use crate::response::{Response, Section};
use crate::section::{self, Beside, Stretch};
use crate::soft::answer as soft;
use crate::stripped;
use crate::typing::Told;
use crate::users::{RoomList, UserRoom};

/// The making of one response.
pub(crate) struct Pass<'a> {
    pub(crate) engine: &'a Parts,
    pub(crate) request: &'a SyncRequest,
    pub(crate) since: Option<&'a SyncToken>,
    pub(crate) moment: Moment,
    pub(crate) typing: Told,
    pub(crate) view: View,
    /// What the view showed when it was first asked, or an earlier one.
    pub(crate) heads: Option<Heads>,
    /// The tail covers the moment.
    pub(crate) is_followed: bool,
    pub(crate) fields: Option<&'a Fields>,
    pub(crate) now_ms: i64,
    /// Whom the user ignores at the moment.
    pub(crate) ignored: Arc<Ignored>,
    /// The member events that a lazily loading client has.
    pub(crate) known: Members,
    /// Those that the response carries.
    pub(crate) members: Vec<EventNid>,
}

impl<'a> Pass<'a> {
    pub(crate) fn viewer(&self) -> Viewer<'a> {
        Viewer {
            user_nid: self.request.user_nid,
            user_id: &self.request.user_id,
            device_id: Some(&self.request.device_id),
            now_ms: self.now_ms,
            own_log: self.moment.user,
        }
    }

    /// The token's position in a room shard.
    pub(crate) fn since(&self, shard: Shard) -> Position {
        self.since
            .map_or(Position::MIN, |since| since.rooms.get(shard))
    }

    fn asked(&self, shard: Shard) -> Asked {
        Asked {
            since: self.since.map(|since| since.rooms.get(shard)),
            now: self.moment.rooms.get(shard),
            include_leave: self.request.filter.room.include_leave,
            full_state: self.request.full_state,
        }
    }

    pub(crate) fn user_place(&self) -> (Shard, UserNid) {
        (Shard::of_user(&self.request.user_id), self.request.user_nid)
    }
}

/// Puts the response together. `list` is the user's rooms, complete up to the moment.
pub(crate) async fn answer(pass: &mut Pass<'_>, list: &RoomList) -> Result<Response, StorageError> {
    let mut response = Response::default();
    let viewer = pass.viewer();
    pass.ignored = pass.engine.rooms.ignored(&mut pass.view, viewer).await?;
    let mut data = account_data(pass).await?;
    global_account_data(pass, &mut data, &mut response);
    let mut plans = plans(pass, list);
    soft::add_presence(pass, list, &plans, &mut response);
    let mut receipts = receipts::news(pass, list, &plans).await?;
    let typing = std::mem::take(&mut pass.typing.rooms);
    let told = |room| data.has(room) || receipts.has(room) || typing.contains_key(&room);
    drop_unchanged(pass, list, told, &mut plans).await?;
    if pass.since.is_some() {
        // The client knows nothing of these rooms: when their data was set does not matter.
        let new: Vec<RoomNid> = plans
            .iter()
            .filter(|(_, plan)| **plan == Plan::NewlyJoined)
            .map(|(room, _)| *room)
            .collect();
        if !new.is_empty() {
            let place = pass.user_place();
            data.add_rooms(&mut pass.view, place, &new).await?;
        }
    }
    for (nid, plan) in plans {
        if let Some(room) = list.get(&nid) {
            let beside = Beside {
                account_data: data.take(nid),
                receipts: receipts.take(nid),
                typing: soft::typing(pass, room, plan, typing.get(&nid)),
            };
            add_room(pass, &mut response, (room, plan), beside).await?;
        }
    }
    Ok(response)
}

async fn account_data(pass: &mut Pass<'_>) -> Result<AccountData, StorageError> {
    let after = pass.since.map_or(0, |since| since.user);
    let range = Range {
        after,
        up_to: pass.moment.user,
    };
    let place = pass.user_place();
    account_data::within(&pass.engine.tail, &mut pass.view, place, range).await
}

fn global_account_data(pass: &Pass<'_>, data: &mut AccountData, response: &mut Response) {
    let mut global = data.take_global();
    let has_rules = global
        .iter()
        .any(|(data_type, _)| data_type == "m.push_rules");
    if pass.since.is_none() && !has_rules {
        global.push(default_push_rules(&pass.request.user_id));
    }
    for (data_type, content) in global {
        let wanted = &pass.request.filter.account_data;
        if filter::accepts_data(wanted, &data_type, &pass.request.user_id) {
            response.add_account_data(&data_type, &content);
        }
    }
}

/// The rooms that may have something to tell.
fn plans(pass: &Pass<'_>, list: &RoomList) -> BTreeMap<RoomNid, Plan> {
    let wanted = &pass.request.filter.room;
    list.iter()
        .map(|(nid, room)| (*nid, room, plan(&room.changes, pass.asked(room.info.shard))))
        .filter(|(_, _, plan)| *plan != Plan::Nothing)
        .filter(|(_, room, _)| filter::accepts_room(wanted, &room.info.id))
        .map(|(nid, _, plan)| (nid, plan))
        .collect()
}

/// Takes out joined rooms in which nothing happened and of which nothing else is `told`.
async fn drop_unchanged(
    pass: &mut Pass<'_>,
    list: &RoomList,
    told: impl Fn(RoomNid) -> bool,
    plans: &mut BTreeMap<RoomNid, Plan>,
) -> Result<(), StorageError> {
    if pass.request.full_state {
        return Ok(());
    }
    let mut quiet: BTreeMap<Shard, Vec<RoomNid>> = BTreeMap::new();
    for nid in plans
        .iter()
        .filter(|(_, plan)| **plan == Plan::Joined)
        .map(|(nid, _)| *nid)
    {
        if let Some(room) = list.get(&nid).filter(|_| !told(nid)) {
            quiet.entry(room.info.shard).or_default().push(nid);
        }
    }
    for (shard, rooms) in quiet {
        let range = Range {
            after: pass.since(shard),
            up_to: pass.moment.rooms.get(shard),
        };
        let changed = match pass.engine.tail.changed_rooms(shard, &rooms, range) {
            Some(changed) => changed,
            None if range.up_to <= range.after => Vec::new(),
            None => {
                timeline::changed_rooms(pass.view.snapshot().await?, shard, &rooms, range).await?
            }
        };
        for room in rooms {
            if !changed.contains(&room) {
                plans.remove(&room);
            }
        }
    }
    Ok(())
}

async fn add_room(
    pass: &mut Pass<'_>,
    response: &mut Response,
    (room, plan): (&UserRoom, Plan),
    beside: Beside,
) -> Result<(), StorageError> {
    let info = &room.info;
    let now = pass.moment.rooms.get(info.shard);
    let since = pass.since(info.shard);
    let stretch = |range, base| Stretch {
        room,
        range,
        base,
        beside,
    };
    let (section, json) = match plan {
        Plan::Nothing => return Ok(()),
        Plan::Joined => {
            let base = if pass.request.full_state {
                Base::Whole
            } else {
                Base::Since(since)
            };
            let range = Range {
                after: since,
                up_to: now,
            };
            (
                Section::Join,
                section::write(pass, &stretch(range, base)).await?,
            )
        }
        Plan::NewlyJoined => {
            let range = Range {
                after: Position::MIN,
                up_to: now,
            };
            (
                Section::Join,
                section::write(pass, &stretch(range, Base::Whole)).await?,
            )
        }
        Plan::Left(range, base) => (
            Section::Leave,
            section::write(pass, &stretch(range, base)).await?,
        ),
        Plan::Invite(event) => {
            let rooms = &pass.engine.rooms;
            let found = rooms.events(&mut pass.view, info, [event]).await?;
            // An invitation of somebody who is ignored never came.
            let ignored = |event: &Arc<RoomEvent>| pass.ignored.has(&event.sender);
            if found.get(&event).is_some_and(ignored) {
                return Ok(());
            }
            let place = ("invite_state", event);
            (
                Section::Invite,
                stripped::room(rooms, &mut pass.view, info, place).await?,
            )
        }
        Plan::Knock(event) => {
            let place = ("knock_state", event);
            let rooms = &pass.engine.rooms;
            (
                Section::Knock,
                stripped::room(rooms, &mut pass.view, info, place).await?,
            )
        }
    };
    if let Some(json) = json {
        response.add_room(section, &info.id, &json);
    }
    Ok(())
}
