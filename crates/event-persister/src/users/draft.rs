//! A batch under way: the rows and log entries of the commands executed so far.

use bytes::Bytes;
use ganglion_cluster::owner::{Outcome, OutcomeDone};
use ganglion_model::{CommandId, MatrixError, Position, UserNid};
use ganglion_proto::log;
use ganglion_proto::persister::user_command::Command;
use ganglion_proto::persister::{
    CreateFilter, Deactivate, ForgetRoom, Register, SetPassword, SetPresence, SetProfileField,
    UserCommand,
};
use ganglion_storage::accounts::Standing;
use ganglion_storage::batch::{
    AccountDataRow, AccountRow, DeactivationRow, Ends, FilterRow, ForgottenRow, JobRow,
    PasswordRow, PresenceRow, ProfileRow, UserRows,
};
use ganglion_storage::log::kind;

use self::devices::checked_device;
use super::facts::Facts;
use super::jobs;

mod account_data;
mod devices;
mod follow_upgrade;
mod login_tokens;
mod moderation;
mod push_rules;

/// A whole profile as JSON stays below this (client-server API, "Profiles").
const MAX_PROFILE_BYTES: usize = 64 * 1024;
/// What a field takes beyond its name and its value: quotes, colon, comma.
const FIELD_OVERHEAD: usize = 4;

/// Executes commands one after the other.
pub(super) struct Draft {
    facts: Facts,
    /// The position of the next entry.
    pub(super) next: Position,
    now_ms: i64,
    pub(super) rows: UserRows,
    pub(super) entries: Vec<log::Entry>,
}

impl Draft {
    pub(super) fn new(facts: Facts, next: Position, now_ms: i64) -> Self {
        Self {
            facts,
            next,
            now_ms,
            rows: UserRows::default(),
            entries: Vec::new(),
        }
    }

    /// Executes a command; one that is refused has changed nothing.
    pub(super) fn execute(
        &mut self,
        id: CommandId,
        command: &UserCommand,
    ) -> Result<Outcome, MatrixError> {
        let user = *self
            .facts
            .users
            .get(&command.user_id)
            .ok_or_else(|| MatrixError::invalid_param("not a user of this shard"))?;
        let user_id = &command.user_id;
        let command = command.command.as_ref().ok_or_else(|| {
            MatrixError::new(400, "M_UNRECOGNIZED", "a command of a later version")
        })?;
        if !matches!(command, Command::Register(_)) {
            self.may_be_served(user, command)?;
        }
        match command {
            Command::Register(register) => self.register(user, register),
            Command::Login(login) => {
                let device = checked_device(login.device.as_ref())?;
                if let Some(token) = &login.login_token {
                    self.use_login_token(user, token)?;
                }
                self.log_in(user, device);
                Ok(self.done(String::new()))
            }
            Command::Logout(logout) => {
                self.end_tokens(user, logout.device_id.as_deref(), Ends::Devices);
                Ok(self.done(String::new()))
            }
            Command::UpdateDevice(update) => self.update_device(user, update),
            Command::DeleteDevices(delete) => Ok(self.delete_devices(user, &delete.device_ids)),
            Command::SetPassword(set) => self.set_password(user, set),
            Command::Refresh(refresh) => self.refresh(user, refresh),
            Command::UseToken(used) => self.use_token(user, &used.token_hash),
            Command::Deactivate(deactivate) => Ok(self.deactivate(id, user, deactivate)),
            Command::SetAccountData(set) => self.set_account_data(user, set),
            Command::CreateFilter(create) => self.create_filter(user, create),
            Command::SetProfileField(set) => self.set_profile_field(id, user, set),
            Command::ForgetRoom(forget) => self.forget_room(user, forget),
            Command::ChangePushRule(change) => self.change_push_rule(user, user_id, change),
            Command::SetStanding(set) => self.set_standing(user, set),
            Command::Report(report) => self.report(id, user, report),
            Command::CreateLoginToken(create) => self.create_login_token(user, create),
            Command::SetTag(set) => self.set_tag(user, set),
            Command::FollowUpgrade(follow) => self.follow_upgrade(user, follow),
            Command::SetPresence(set) => self.set_presence(user, set),
        }
    }

    fn register(&mut self, user: UserNid, register: &Register) -> Result<Outcome, MatrixError> {
        if self.facts.accounts.contains_key(&user) {
            return Err(MatrixError::new(
                400,
                "M_USER_IN_USE",
                "this user name is taken",
            ));
        }
        let kind = i16::try_from(register.kind)
            .ok()
            .filter(|kind| (0..=3).contains(kind))
            .ok_or_else(|| MatrixError::invalid_param("not a kind of account"))?;
        let device = register
            .device
            .as_ref()
            .map(|d| checked_device(Some(d)))
            .transpose()?;
        if let Some(token) = &register.registration_token {
            let now_ms = self.now_ms;
            let record = self
                .facts
                .registration_tokens
                .get_mut(token)
                .filter(|record| record.is_valid(now_ms))
                .ok_or_else(|| {
                    MatrixError::new(401, "M_UNAUTHORIZED", "the registration token is not valid")
                })?;
            record.completed += 1;
            self.rows.registration_tokens.push(token.clone());
        }
        self.rows.accounts.push(AccountRow {
            user_nid: user,
            kind,
            password_hash: Some(register.password_hash.clone()).filter(|hash| !hash.is_empty()),
            created_at: self.now_ms,
        });
        let standing = Standing {
            kind,
            ..Standing::default()
        };
        self.facts.accounts.insert(user, standing);
        if let Some(device) = device {
            self.log_in(user, device);
        }
        Ok(self.done(String::new()))
    }

    fn set_password(&mut self, user: UserNid, set: &SetPassword) -> Result<Outcome, MatrixError> {
        if set.password_hash.is_empty() {
            return Err(MatrixError::internal());
        }
        self.rows.passwords.retain(|row| row.user_nid != user);
        self.rows.passwords.push(PasswordRow {
            user_nid: user,
            password_hash: set.password_hash.clone(),
        });
        if set.end_other_devices {
            let others = self.facts.devices.iter();
            let others: Vec<String> = others
                .filter(|(owner, id)| *owner == user && *id != set.device_id)
                .map(|(_, id)| id.clone())
                .collect();
            self.end_login_tokens(user);
            self.delete_devices(user, &others);
        }
        Ok(self.done(String::new()))
    }

    fn deactivate(&mut self, id: CommandId, user: UserNid, wish: &Deactivate) -> Outcome {
        self.end_tokens(user, None, Ends::Devices);
        self.rows.profiles.retain(|row| row.user_nid != user);
        self.rows.presence.retain(|row| row.user_nid != user);
        if wish.erase {
            self.rows.filters.retain(|row| row.user_nid != user);
            let ours = |row: &AccountDataRow| row.user_nid == user;
            let (gone, kept) = std::mem::take(&mut self.rows.account_data)
                .into_iter()
                .partition::<Vec<_>, _>(ours);
            self.rows.account_data = kept;
            self.entries
                .retain(|entry| !gone.iter().any(|row| row.pos == entry.pos));
        }
        self.rows.jobs.retain(|row| row.user_nid != user);
        self.rows.jobs.push(JobRow {
            job_id: *id.as_bytes(),
            user_nid: user,
            kind: jobs::LEAVE_ROOMS,
            body: Vec::new(),
            created_at: self.now_ms,
        });
        self.rows.deactivations.push(DeactivationRow {
            user_nid: user,
            at: self.now_ms,
            erase: wish.erase,
        });
        if let Some(standing) = self.facts.accounts.get_mut(&user) {
            standing.deactivated = true;
        }
        self.done(String::new())
    }

    fn forget_room(&mut self, user: UserNid, forget: &ForgetRoom) -> Result<Outcome, MatrixError> {
        let known = self.facts.rooms.get(&forget.room_id).copied();
        let room_nid = known.ok_or_else(|| MatrixError::not_found("this room is not known"))?;
        let mut up_to = forget.up_to;
        let earlier = self
            .rows
            .forgotten
            .iter()
            .position(|row| row.user_nid == user && row.room_nid == room_nid);
        if let Some(earlier) = earlier {
            // Superseded before it was ever read: its position is void.
            let row = self.rows.forgotten.swap_remove(earlier);
            self.entries.retain(|entry| entry.pos != row.pos);
            up_to = up_to.max(row.up_to);
        }
        let entry = log::RoomForgotten {
            user_nid: user.0,
            room_nid: room_nid.0,
            up_to,
        };
        let pos = self.log(kind::ROOM_FORGOTTEN, &entry);
        self.rows.forgotten.push(ForgottenRow {
            user_nid: user,
            room_nid,
            up_to,
            pos,
        });
        Ok(self.done(String::new()))
    }

    fn create_filter(
        &mut self,
        user: UserNid,
        create: &CreateFilter,
    ) -> Result<Outcome, MatrixError> {
        let body = std::str::from_utf8(&create.body)
            .map_err(|_not_text| MatrixError::bad_json("the filter is not JSON"))?;
        let hash = CommandId::of(&["filter", body]);
        let filter_id: String = hash
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.rows.filters.push(FilterRow {
            user_nid: user,
            filter_id: filter_id.clone(),
            body: create.body.to_vec(),
        });
        Ok(self.done(filter_id))
    }

    fn set_profile_field(
        &mut self,
        id: CommandId,
        user: UserNid,
        set: &SetProfileField,
    ) -> Result<Outcome, MatrixError> {
        let profile = self.facts.profiles.entry(user).or_default();
        let value = set.value.as_ref().map(|value| value.to_vec());
        if profile.get(&set.field) == value.as_ref() {
            return Ok(Outcome::Unchanged(self.outcome(String::new())));
        }
        if let Some(value) = &value {
            let others = profile.iter().filter(|(field, _)| **field != set.field);
            let size: usize = others.map(|(field, value)| field_size(field, value)).sum();
            if size + field_size(&set.field, value) + FIELD_OVERHEAD > MAX_PROFILE_BYTES {
                let message = "a profile has less than 64 KiB";
                return Err(MatrixError::new(400, "M_PROFILE_TOO_LARGE", message));
            }
            profile.insert(set.field.clone(), value.clone());
        } else {
            profile.remove(&set.field);
        }
        self.rows
            .profiles
            .retain(|row| row.user_nid != user || row.field != set.field);
        self.rows.profiles.push(ProfileRow {
            user_nid: user,
            field: set.field.clone(),
            value,
        });
        let in_rooms = matches!(set.field.as_str(), "displayname" | "avatar_url");
        // One job of a batch is enough: it reads the profile that the batch leaves behind.
        if in_rooms && !self.rows.jobs.iter().any(|job| job.user_nid == user) {
            self.rows.jobs.push(JobRow {
                job_id: *id.as_bytes(),
                user_nid: user,
                kind: jobs::UPDATE_PROFILE,
                body: Vec::new(),
                created_at: self.now_ms,
            });
        }
        Ok(self.done(String::new()))
    }

    fn set_presence(&mut self, user: UserNid, set: &SetPresence) -> Result<Outcome, MatrixError> {
        let state = i16::try_from(set.state)
            .ok()
            .filter(|state| (0..=2).contains(state))
            .ok_or_else(|| MatrixError::invalid_param("not a state of presence"))?;
        let mut row = PresenceRow {
            user_nid: user,
            state,
            last_active: set.last_active_ms.max(0),
            status: set.status.clone().map(|status| (status.text, status.at_ms)),
            updated_at: self.now_ms,
        };
        if let Some(earlier) = self.rows.presence.iter().position(|p| p.user_nid == user) {
            let earlier = self.rows.presence.swap_remove(earlier);
            row.last_active = row.last_active.max(earlier.last_active);
            let set_at = |row: &PresenceRow| row.status.as_ref().map_or(0, |(_, at)| *at);
            if set_at(&earlier) > set_at(&row) {
                row.status = earlier.status;
            }
        }
        self.rows.presence.push(row);
        Ok(self.done(String::new()))
    }

    /// Adds a log entry; returns its position.
    fn log(&mut self, kind: u32, payload: &impl prost::Message) -> Position {
        let pos = self.next;
        self.next += 1;
        self.entries.push(log::Entry {
            pos,
            kind,
            payload: Bytes::from(payload.encode_to_vec()),
        });
        pos
    }

    fn done(&self, value: String) -> Outcome {
        Outcome::Done(self.outcome(value))
    }

    fn outcome(&self, value: String) -> OutcomeDone {
        OutcomeDone {
            event_id: String::new(),
            value,
            position: self.next - 1,
        }
    }
}

fn field_size(field: &str, value: &[u8]) -> usize {
    field.len() + value.len() + FIELD_OVERHEAD
}

#[cfg(test)]
mod tests;
