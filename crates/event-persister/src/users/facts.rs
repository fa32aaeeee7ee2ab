//! What the commands of one batch depend on, as the primary has it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ganglion_model::{RoomNid, Shard, UserNid};
use ganglion_proto::persister::UserCommand;
use ganglion_proto::persister::user_command::Command;
use ganglion_storage::accounts::{
    self, DataKey, LoginTokenRecord, RegistrationTokenRecord, Standing, TokenPlace,
};
use ganglion_storage::{Connection, StorageError, intern};
use ruma::UserId;

use crate::shared::Shared;

/// Facts; while a batch is drafted they are brought up to what it has done so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The users of the commands that belong to this shard and this server.
    pub(super) users: HashMap<String, UserNid>,
    /// Those of them that have an account, and how it stands.
    pub(super) accounts: HashMap<UserNid, Standing>,
    /// Those of the devices that commands name or end that exist.
    pub(super) devices: HashSet<(UserNid, String)>,
    /// Where the access tokens that commands name stand.
    pub(super) access: HashMap<[u8; 32], TokenPlace>,
    /// The same of refresh tokens.
    pub(super) refresh: HashMap<[u8; 32], TokenPlace>,
    /// The login tokens that commands name, those that exist.
    pub(super) login_tokens: HashMap<[u8; 32], LoginTokenRecord>,
    pub(super) registration_tokens: HashMap<String, RegistrationTokenRecord>,
    /// The profiles of users that change theirs.
    pub(super) profiles: HashMap<UserNid, BTreeMap<String, Vec<u8>>>,
    /// The status messages of users that set theirs, and when each was set.
    pub(super) statuses: HashMap<UserNid, (Option<String>, i64)>,
    /// The rooms named by account data or to be forgotten, those that are known.
    pub(super) rooms: HashMap<String, RoomNid>,
    /// The account data that commands change in place: of the user, of the room or global, by type.
    pub(super) account_data: HashMap<DataKey, Vec<u8>>,
}

/// The account data that holds a room's tags.
pub(super) const TAGS: &str = "m.tag";
/// The account data that holds the push rules.
pub(super) const PUSH_RULES: &str = "m.push_rules";
/// The account data that says which rooms are with whom.
pub(super) const DIRECT: &str = "m.direct";

impl Facts {
    /// Reads them, and gives numbers to users that have none.
    ///
    /// # Errors
    /// If the primary does not answer.
    pub(super) async fn load(
        shared: &Shared,
        shard: Shard,
        commands: &[&UserCommand],
    ) -> Result<Self, StorageError> {
        let primary = shared.db.primary().await?;
        let ours = |id: &&str| {
            UserId::parse(*id).is_ok_and(|user| {
                user.server_name() == shared.server_name && Shard::of_user(&user) == shard
            })
        };
        let ids: BTreeSet<&str> = commands
            .iter()
            .map(|command| command.user_id.as_str())
            .filter(ours)
            .collect();
        let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let users: HashMap<_, _> = intern::intern_users(&primary, &ids)
            .await?
            .into_iter()
            .collect();
        let nids: Vec<UserNid> = users.values().copied().collect();
        let accounts = accounts::standings(&primary, &nids).await?;
        let mut facts = Self {
            users,
            accounts,
            ..Self::default()
        };
        facts.load_named(&primary, commands).await?;
        facts.load_account_data(&primary, shard, commands).await?;
        Ok(facts)
    }

    async fn load_named(
        &mut self,
        primary: &Connection,
        commands: &[&UserCommand],
    ) -> Result<(), StorageError> {
        let named = Named::of(&self.users, commands);
        if !named.devices.is_empty() {
            self.devices = accounts::existing_devices(primary, &named.devices)
                .await?
                .into_iter()
                .collect();
        }
        if !named.all_devices.is_empty() {
            let found = accounts::device_ids_of(primary, &named.all_devices).await?;
            self.devices.extend(found);
        }
        if !named.access.is_empty() {
            self.access = accounts::access_places(primary, &named.access).await?;
        }
        if !named.refresh.is_empty() {
            self.refresh = accounts::refresh_places(primary, &named.refresh).await?;
        }
        if !named.login_tokens.is_empty() {
            self.login_tokens = accounts::login_tokens(primary, &named.login_tokens).await?;
        }
        if !named.tokens.is_empty() {
            let tokens: Vec<String> = named.tokens.into_iter().cloned().collect();
            self.registration_tokens = accounts::registration_tokens(primary, &tokens).await?;
        }
        if !named.profiles.is_empty() {
            for (user, field, value) in accounts::profiles(primary, &named.profiles).await? {
                self.profiles.entry(user).or_default().insert(field, value);
            }
        }
        if !named.statuses.is_empty() {
            let found = accounts::presence(primary, &named.statuses).await?;
            let statuses = found.into_iter();
            self.statuses = statuses
                .map(|record| (record.user_nid, (record.status_msg, record.status_at)))
                .collect();
        }
        for room in named.rooms {
            if let Some(row) = intern::find_room(primary, room).await? {
                self.rooms.insert(room.clone(), row.room_nid);
            }
        }
        Ok(())
    }

    async fn load_account_data(
        &mut self,
        primary: &Connection,
        shard: Shard,
        commands: &[&UserCommand],
    ) -> Result<(), StorageError> {
        let mut wanted: BTreeSet<DataKey> = BTreeSet::new();
        for command in commands {
            let Some(user) = self.users.get(&command.user_id) else {
                continue;
            };
            let rooms = match &command.command {
                Some(Command::SetTag(set)) => vec![&set.room_id],
                Some(Command::ChangePushRule(_)) => {
                    wanted.insert((*user, None, PUSH_RULES.to_owned()));
                    continue;
                }
                Some(Command::FollowUpgrade(follow)) => {
                    let global = [PUSH_RULES, DIRECT];
                    wanted.extend(global.map(|name| (*user, None, name.to_owned())));
                    vec![&follow.old_room, &follow.new_room]
                }
                _ => continue,
            };
            let known = rooms.into_iter().filter_map(|room| self.rooms.get(room));
            wanted.extend(known.map(|room| (*user, Some(*room), TAGS.to_owned())));
        }
        if !wanted.is_empty() {
            let wanted: Vec<_> = wanted.into_iter().collect();
            let found = accounts::pieces_of_account_data(primary, shard, &wanted).await?;
            let contents = found.into_iter().map(|(key, (content, _))| (key, content));
            self.account_data = contents.collect();
        }
        Ok(())
    }
}

/// What commands name.
#[derive(Default)]
struct Named<'a> {
    devices: Vec<(UserNid, String)>,
    all_devices: Vec<UserNid>,
    access: Vec<[u8; 32]>,
    refresh: Vec<[u8; 32]>,
    login_tokens: Vec<[u8; 32]>,
    tokens: Vec<&'a String>,
    profiles: Vec<UserNid>,
    statuses: Vec<UserNid>,
    rooms: BTreeSet<&'a String>,
}

impl<'a> Named<'a> {
    fn of(users: &HashMap<String, UserNid>, commands: &[&'a UserCommand]) -> Self {
        let mut named = Self::default();
        for command in commands {
            let Some(user) = users.get(&command.user_id) else {
                continue;
            };
            match &command.command {
                Some(Command::Register(register)) => {
                    named.tokens.extend(&register.registration_token);
                }
                Some(Command::Login(login)) => {
                    named
                        .devices
                        .extend(login.device.iter().map(|d| (*user, d.device_id.clone())));
                    named
                        .login_tokens
                        .extend(login.login_token.as_ref().and_then(|token| hash(token)));
                }
                Some(Command::UpdateDevice(update)) => {
                    named.devices.push((*user, update.device_id.clone()));
                }
                Some(Command::DeleteDevices(delete)) => {
                    named
                        .devices
                        .extend(delete.device_ids.iter().map(|id| (*user, id.clone())));
                }
                Some(Command::SetPassword(set)) if set.end_other_devices => {
                    named.all_devices.push(*user);
                }
                Some(Command::Refresh(wanted)) => named.refresh.extend(hash(&wanted.refresh_hash)),
                Some(Command::UseToken(used)) => named.access.extend(hash(&used.token_hash)),
                Some(Command::SetAccountData(set)) => named.rooms.extend(&set.room_id),
                Some(Command::ForgetRoom(forget)) => {
                    named.rooms.insert(&forget.room_id);
                }
                Some(Command::SetTag(set)) => {
                    named.rooms.insert(&set.room_id);
                }
                Some(Command::FollowUpgrade(follow)) => {
                    named.rooms.extend([&follow.old_room, &follow.new_room]);
                }
                Some(Command::SetProfileField(_)) => named.profiles.push(*user),
                Some(Command::SetPresence(set)) if set.status.is_some() => {
                    named.statuses.push(*user);
                }
                _ => {}
            }
        }
        named
    }
}

/// What is no hash names no token.
fn hash(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}
