//! What users do.

use std::time::Duration;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::history::History;
use super::world::{Key, Room};
use crate::user::{User, enc};

const VERSIONS: [u32; 8] = [3, 5, 6, 7, 9, 10, 11, 12];
const VISIBILITIES: [&str; 4] = ["world_readable", "shared", "invited", "joined"];

impl History {
    /// A new room.
    pub(crate) async fn create(&mut self) -> Result<(), String> {
        let creator = self.any_user();
        let version = *VERSIONS.choose(&mut self.rng).unwrap();
        let presets = ["private_chat", "trusted_private_chat", "public_chat"];
        let mut body = json!({
            "room_version": version.to_string(),
            "preset": presets.choose(&mut self.rng).unwrap(),
            "initial_state": [],
        });
        if self.rng.random_bool(0.4) {
            let set = VISIBILITIES.choose(&mut self.rng).unwrap();
            body["initial_state"] = json!([{
                "type": "m.room.history_visibility", "state_key": "",
                "content": {"history_visibility": set},
            }]);
        }
        if self.rng.random_bool(0.3) {
            body["name"] = json!("A room");
        }
        if self.rng.random_bool(0.6) {
            // So that more of what is tried is allowed.
            body["power_level_content_override"] = json!({"users_default": 60});
        }
        let invited = self.any_user();
        if invited != creator && self.rng.random_bool(0.5) {
            body["invite"] = json!([self.users[invited][0].id]);
        }
        let user = self.someone(creator);
        let name = self.name(creator);
        let reply = user.post("/createRoom", body.clone()).await;
        let Some(id) = reply.body["room_id"].as_str() else {
            return Err(format!(
                "{name} makes {body}: {} {}",
                reply.status, reply.body
            ));
        };
        self.stats.writes += 1;
        self.add_room(id, version, &user.id);
        self.note(&format!("{name} makes {id}: {body}"));
        Ok(())
    }

    fn add_room(&mut self, id: &str, version: u32, creator: &str) {
        self.behind.push(self.world.rooms.len());
        self.world.rooms.push(Room {
            id: id.to_owned(),
            version,
            creator: creator.to_owned(),
            events: Vec::new(),
        });
    }

    /// A room gets a successor.
    pub(crate) async fn upgrade(&mut self) -> Result<(), String> {
        if self.world.rooms.len() > super::history::ROOMS + 1 {
            return Ok(());
        }
        self.catch_up().await?;
        let (room, user) = self.somewhere();
        let user = self.someone(user);
        let version = *VERSIONS.choose(&mut self.rng).unwrap();
        let body = json!({"new_version": version.to_string()});
        let place = (Method::POST, "/rooms/{room}/upgrade".to_owned(), body);
        if let Some(done) = self.write((&user, room), place, "upgrades").await? {
            let id = done["replacement_room"].as_str().unwrap_or_default();
            // Upgraded before, the room has its successor.
            if self.world.find(id).is_none() {
                self.add_room(id, version, &user.id);
            }
        }
        Ok(())
    }

    /// Somebody comes or goes, or makes another come or go.
    pub(crate) async fn membership(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let (room, actor) = self.somewhere();
        let target = self.any_user();
        let target_id = self.users[target][0].id.clone();
        let is_creator = |history: &Self, user: usize| {
            history.users[user][0].id == history.world.rooms[room].creator
        };
        let current = self.world.membership(room, &target_id).unwrap_or("none");
        let own = match current {
            "join" => ["leave", "leave", "join"],
            "invite" => ["join", "join", "leave"],
            "knock" => ["leave", "join", "leave"],
            "leave" => ["join", "forget", "knock"],
            "ban" => ["join", "forget", "knock"],
            _ => ["join", "join", "knock"],
        };
        let by_others = match current {
            "join" => ["kick", "kick", "ban"],
            "invite" => ["kick", "ban", "invite"],
            "ban" => ["unban", "unban", "invite"],
            "leave" => ["invite", "invite", "ban"],
            _ => ["invite", "invite", "kick"],
        };
        let alone = self.rng.random_bool(0.6);
        let action = *if alone { own } else { by_others }
            .choose(&mut self.rng)
            .unwrap();
        if is_creator(self, target) && ["leave", "kick", "ban"].contains(&action) {
            // Somebody must be there to see all.
            return self.say().await;
        }
        let user = self.someone(if alone { target } else { actor });
        let mut body = if alone {
            json!({})
        } else {
            json!({"user_id": target_id})
        };
        if self.rng.random_bool(0.2) {
            body["reason"] = json!("why not");
        }
        let path = match action {
            "join" if self.rng.random_bool(0.5) => "/join/{room}".to_owned(),
            "knock" => "/knock/{room}".to_owned(),
            action => format!("/rooms/{{room}}/{action}"),
        };
        let before = self.world.rooms[room]
            .events
            .last()
            .map_or(0, |event| event.seq);
        let what = format!("{action} ({})", self.name(target));
        let done = self
            .write((&user, room), (Method::POST, path, body), &what)
            .await?;
        if done.is_none() {
            return Ok(());
        }
        if action == "forget" {
            let at = self.world.tick();
            self.world.forgotten.push((target_id, room, at, before));
            return Ok(());
        }
        self.catch_up().await?;
        let expected = match action {
            "join" | "invite" | "knock" | "ban" => action,
            _ => "leave",
        };
        match self.world.membership(room, &target_id) {
            Some(is) if is == expected => Ok(()),
            is => Err(format!("{what} was taken, but it is {is:?}")),
        }
    }

    /// Somebody says something.
    pub(crate) async fn say(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let (room, user) = self.somewhere();
        let user = self.someone(user);
        let (path, body, txn) = self.message();
        let place = (Method::PUT, path, body);
        if let Some(done) = self.write((&user, room), place, "says").await? {
            self.sent(&user, &done, txn);
        }
        Ok(())
    }

    fn message(&mut self) -> (String, Value, String) {
        let txn = self.txn();
        let kinds = [
            "m.room.message",
            "m.room.message",
            "org.example.thing",
            "org.example.other",
        ];
        let kind = kinds.choose(&mut self.rng).unwrap();
        let mut body = json!({"msgtype": "m.text", "body": format!("text {txn}")});
        if self.rng.random_bool(0.25) {
            body["url"] = json!("mxc://example.org/image");
        }
        (format!("/rooms/{{room}}/send/{kind}/{txn}"), body, txn)
    }

    fn sent(&mut self, user: &User, done: &Value, txn: String) {
        let id = done["event_id"].as_str().unwrap_or_default().to_owned();
        self.world.txns.insert(id, (user.device.clone(), txn));
    }

    /// Several say something at once.
    pub(crate) async fn burst(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let room = self.any_room();
        let id = enc(&self.world.rooms[room].id);
        let within: Vec<usize> = (0..self.users.len())
            .filter(|user| self.world.membership(room, &self.users[*user][0].id) == Some("join"))
            .collect();
        let mut sent = Vec::new();
        for _ in 0..self.rng.random_range(4..25) {
            let Some(user) = within.choose(&mut self.rng).copied() else {
                break;
            };
            let user = self.someone(user);
            let (path, body, txn) = self.message();
            sent.push((user, path.replace("{room}", &id), body, txn));
        }
        let replies = sent
            .iter()
            .map(|(user, path, body, _)| user.put(path, body.clone()));
        let replies = futures_util::future::join_all(replies).await;
        for ((user, _, _, txn), reply) in sent.into_iter().zip(replies) {
            if let Some(done) = self.taken((&user, room), reply, "says at once")? {
                self.sent(&user, &done, txn);
            }
        }
        Ok(())
    }

    /// Somebody changes the room's state, or sets what is set already.
    pub(crate) async fn set_state(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let (room, user) = self.somewhere();
        let user = self.someone(user);
        let number = self.rng.random_range(0..3);
        let (kind, key, content) = match self.rng.random_range(0..13) {
            0..2 => (
                "m.room.topic",
                "",
                json!({"topic": format!("topic {number}")}),
            ),
            2 => {
                let name = if number == 0 {
                    String::new()
                } else {
                    format!("name {number}")
                };
                ("m.room.name", "", json!({"name": name}))
            }
            3..6 => {
                let key = *["", "a", "b"].choose(&mut self.rng).unwrap();
                let mut content = json!({"number": number});
                if number == 1 {
                    content["url"] = json!("mxc://example.org/state");
                }
                ("org.example.thing", key, content)
            }
            6..9 => {
                let set = VISIBILITIES.choose(&mut self.rng).unwrap();
                (
                    "m.room.history_visibility",
                    "",
                    json!({"history_visibility": set}),
                )
            }
            9..11 => {
                let rules = ["public", "invite", "knock"];
                // A rule that a version does not know keeps members from changing their names.
                let known = if self.world.rooms[room].version < 7 {
                    2
                } else {
                    3
                };
                let rule = rules[..known].choose(&mut self.rng).unwrap();
                ("m.room.join_rules", "", json!({"join_rule": rule}))
            }
            11 => return self.set_power(user, room).await,
            _ => {
                let content =
                    json!({"membership": "join", "displayname": format!("name {number}")});
                return self
                    .state((&user, room), ("m.room.member", &user.id, content))
                    .await;
            }
        };
        self.state((&user, room), (kind, key, content)).await
    }

    async fn set_power(&mut self, user: User, room: usize) -> Result<(), String> {
        let state = self.world.state(room, self.world.clock);
        let key = ("m.room.power_levels".to_owned(), String::new());
        let mut content = state
            .get(&key)
            .map_or(json!({}), |event| event.content.clone());
        content["users_default"] = json!(*[0, 50, 60].choose(&mut self.rng).unwrap());
        self.state((&user, room), ("m.room.power_levels", "", content))
            .await
    }

    async fn state(
        &mut self,
        (user, room): (&User, usize),
        (kind, key, content): (&str, &str, Value),
    ) -> Result<(), String> {
        let path = format!("/rooms/{{room}}/state/{kind}/{}", enc(key));
        let what = format!("sets {kind} {key:?} {content}");
        self.write((user, room), (Method::PUT, path, content), &what)
            .await?;
        Ok(())
    }

    /// Somebody redacts an event.
    pub(crate) async fn redact(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let (room, user) = self.somewhere();
        let user = self.someone(user);
        let events = &self.world.rooms[room].events;
        let own = self.rng.random_bool(0.5);
        let candidates = events
            .iter()
            .filter(|event| event.kind != "m.room.create" && (!own || event.sender == user.id));
        let candidates: Vec<String> = candidates.map(|event| event.id.clone()).collect();
        let Some(target) = candidates.choose(&mut self.rng) else {
            return Ok(());
        };
        let txn = self.txn();
        let path = format!("/rooms/{{room}}/redact/{}/{txn}", enc(target));
        let what = format!("redacts {target}");
        let place = (Method::PUT, path, json!({}));
        if let Some(done) = self.write((&user, room), place, &what).await? {
            self.sent(&user, &done, txn);
            let redaction = done["event_id"].as_str().unwrap_or_default();
            self.catch_up().await?;
            self.world.redact(room, target, redaction);
        }
        Ok(())
    }

    /// Somebody takes another name, in all rooms.
    pub(crate) async fn profile(&mut self) -> Result<(), String> {
        self.catch_up().await?;
        let number = self.any_user();
        let user = self.someone(number);
        let name = format!("name {}", self.rng.random_range(0..100));
        let path = format!("/profile/{}/displayname", enc(&user.id));
        let reply = user.put(&path, json!({"displayname": name})).await;
        let line = format!("{} is called {name:?}: {}", self.name(number), reply.status);
        self.note(&line);
        let key: Key = ("m.room.member".to_owned(), user.id.clone());
        for _ in 0..200 {
            self.behind = (0..self.world.rooms.len()).collect();
            self.catch_up().await?;
            let rooms = 0..self.world.rooms.len();
            let everywhere = rooms.map(|room| self.world.state(room, self.world.clock));
            let done = everywhere.into_iter().all(|state| {
                let member = state.get(&key);
                member.is_none_or(|member| {
                    member.content["membership"] != "join" || member.content["displayname"] == name
                })
            });
            if done {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let rooms = 0..self.world.rooms.len();
        let members = rooms.map(|room| {
            let state = self.world.state(room, self.world.clock);
            state.get(&key).map(|member| (member.seq, &member.content))
        });
        let members: Vec<_> = members.collect();
        Err(format!(
            "{} is not called {name:?} everywhere: {members:?}",
            user.id
        ))
    }
}
