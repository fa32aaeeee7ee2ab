//! A whole new room in one batch (client-server API, `POST /createRoom`).

use std::sync::Arc;

use ganglion_event_rules::{Pdu, RoomVersion, stored};
use ganglion_model::{EventNid, MatrixError, Membership};
use ganglion_proto::persister::CreateRoom;
use ganglion_storage::{intern, rooms};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, RoomId};

use super::RoomShard;
use super::alias::check_alias;
use super::local::{Intent, check_by_itself, parse_content, parse_user, refused_format};
use super::part::{Part, Step, Stop};
use super::place::Arrival;
use super::room::Room;

impl RoomShard {
    pub(super) async fn create_room(
        &self,
        room_id: &RoomId,
        create: &CreateRoom,
        part: &mut Part,
    ) -> Step<Room> {
        let version = RoomVersion::parse(&create.room_version).ok_or_else(|| {
            MatrixError::new(
                400,
                "M_UNSUPPORTED_ROOM_VERSION",
                "this room version is not known",
            )
        })?;
        let creator = parse_user(&create.creator)?;
        let mut room = self.new_room(room_id, version, part.now_ms).await?;
        self.place_create(&mut room, &create.create_pdu, part)
            .await?;
        let mut member = parse_content(&create.creator_member)?;
        member.insert(
            "membership".to_owned(),
            CanonicalJsonValue::String(Membership::Join.as_str().to_owned()),
        );
        let join = Intent::state(creator.clone(), "m.room.member", creator.as_str(), member);
        self.append_first(&mut room, part, join).await?;
        for event in &create.events {
            let content = parse_content(&event.content)?;
            let intent = Intent::state(creator.clone(), &event.r#type, &event.state_key, content);
            self.append_first(&mut room, part, intent).await?;
        }
        if let Some(alias) = &create.alias {
            self.take_alias(&room, alias, &creator, part).await?;
        }
        if create.public {
            part.rows.published.insert(room.nid, true);
        }
        Ok(room)
    }

    async fn new_room(&self, room_id: &RoomId, version: RoomVersion, now_ms: i64) -> Step<Room> {
        let primary = self.shared.db.primary().await?;
        let row = intern::intern_room(
            &primary,
            room_id.as_str(),
            self.shard,
            version.as_str(),
            now_ms,
        )
        .await?;
        let exists = self.rooms.contains_key(room_id)
            || rooms::head(&primary, self.shard, row.room_nid)
                .await?
                .is_some();
        if exists || row.version != version.as_str() {
            return Err(MatrixError::new(409, "M_UNKNOWN", "this room exists").into());
        }
        Ok(Room::new(row.room_nid, room_id.to_owned(), version))
    }

    async fn place_create(&self, room: &mut Room, pdu: &[u8], part: &mut Part) -> Step<()> {
        let object: CanonicalJsonObject = parse_content(pdu)?;
        let event = Pdu::from_canonical(&object, room.version).map_err(refused_format)?;
        if event.room_id != room.id || event.event_type != "m.room.create" {
            return Err(MatrixError::bad_json("the create event is of another room").into());
        }
        check_by_itself(room, &event, &[])?;
        let envelope = stored::split(&object, &event, room.version)
            .map_err(refused_format)?
            .envelope;
        let arrival = Arrival {
            nid: EventNid(self.shared.next_id().await?),
            event: Arc::new(event),
            txn: None,
            envelope,
            redacts: None,
        };
        // A new room's slots are empty, all of them: nothing has to be loaded.
        self.place(room, part, arrival).await?;
        Ok(())
    }

    /// An event of the room's creation; what the rules refuse then is the request's fault.
    async fn append_first(&self, room: &mut Room, part: &mut Part, intent: Intent) -> Step<()> {
        match self.append(room, part, intent).await {
            Ok(_event) => Ok(()),
            Err(Stop::Refused(error))
                if matches!(&*error.errcode, "M_FORBIDDEN" | "M_INVALID_PARAM") =>
            {
                Err(MatrixError::new(
                    400,
                    "M_INVALID_ROOM_STATE",
                    format!(
                        "the room would not allow its own first events: {}",
                        error.message
                    ),
                )
                .into())
            }
            Err(other) => Err(other),
        }
    }

    async fn take_alias(
        &self,
        room: &Room,
        alias: &str,
        creator: &OwnedUserId,
        part: &mut Part,
    ) -> Step<()> {
        check_alias(alias, &self.shared.server_name)?;
        let primary = self.shared.db.primary().await?;
        if rooms::alias(&primary, alias).await?.is_some() {
            return Err(MatrixError::new(400, "M_ROOM_IN_USE", "this alias is taken").into());
        }
        let creator = self.shared.words.user(creator.as_str()).await?;
        part.rows
            .new_aliases
            .push((alias.to_owned(), room.nid, creator, part.now_ms));
        Ok(())
    }
}
