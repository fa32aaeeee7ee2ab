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
        let mut devices = Vec::new();
        let mut all_devices = Vec::new();
        let mut access = Vec::new();
        let mut refresh = Vec::new();
        let mut login_tokens = Vec::new();
        let mut tokens = Vec::new();
        let mut profiles = Vec::new();
        let mut rooms = BTreeSet::new();
        for command in commands {
            let Some(user) = self.users.get(&command.user_id) else {
                continue;
            };
            match &command.command {
                Some(Command::Register(register)) => tokens.extend(&register.registration_token),
                Some(Command::Login(login)) => {
                    devices.extend(login.device.iter().map(|d| (*user, d.device_id.clone())));
                    login_tokens.extend(login.login_token.as_ref().and_then(|token| hash(token)));
                }
                Some(Command::UpdateDevice(update)) => {
                    devices.push((*user, update.device_id.clone()));
                }
                Some(Command::DeleteDevices(delete)) => {
                    devices.extend(delete.device_ids.iter().map(|id| (*user, id.clone())));
                }
                Some(Command::SetPassword(set)) if set.end_other_devices => {
                    all_devices.push(*user);
                }
                Some(Command::Refresh(wanted)) => refresh.extend(hash(&wanted.refresh_hash)),
                Some(Command::UseToken(used)) => access.extend(hash(&used.token_hash)),
                Some(Command::SetAccountData(set)) => rooms.extend(&set.room_id),
                Some(Command::ForgetRoom(forget)) => {
                    rooms.insert(&forget.room_id);
                }
                Some(Command::SetTag(set)) => {
                    rooms.insert(&set.room_id);
                }
                Some(Command::FollowUpgrade(follow)) => {
                    rooms.extend([&follow.old_room, &follow.new_room]);
                }
                Some(Command::SetProfileField(_)) => profiles.push(*user),
                _ => {}
            }
        }
        if !devices.is_empty() {
            self.devices = accounts::existing_devices(primary, &devices)
                .await?
                .into_iter()
                .collect();
        }
        if !all_devices.is_empty() {
            let found = accounts::device_ids_of(primary, &all_devices).await?;
            self.devices.extend(found);
        }
        if !access.is_empty() {
            self.access = accounts::access_places(primary, &access).await?;
        }
        if !refresh.is_empty() {
            self.refresh = accounts::refresh_places(primary, &refresh).await?;
        }
        if !login_tokens.is_empty() {
            self.login_tokens = accounts::login_tokens(primary, &login_tokens).await?;
        }
        if !tokens.is_empty() {
            let tokens: Vec<String> = tokens.into_iter().cloned().collect();
            self.registration_tokens = accounts::registration_tokens(primary, &tokens).await?;
        }
        if !profiles.is_empty() {
            for (user, field, value) in accounts::profiles(primary, &profiles).await? {
                self.profiles.entry(user).or_default().insert(field, value);
            }
        }
        for room in rooms {
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

/// What is no hash names no token.
fn hash(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}
