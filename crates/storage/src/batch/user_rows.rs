//! The rows of user shards.

use ganglion_model::{Position, RoomNid, UserNid};
use tokio_postgres::types::Type;

use super::Pipeline;
use crate::accounts::{Standing, TokenStage};

/// A new account; refused if the user has one.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct AccountRow {
    pub user_nid: UserNid,
    pub kind: i16,
    pub password_hash: Option<String>,
    pub created_at: i64,
}

/// A device: new, or its name is left as it is.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct DeviceRow {
    pub user_nid: UserNid,
    pub device_id: String,
    pub display_name: Option<String>,
    pub created_at: i64,
}

/// A new access token.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct TokenRow {
    pub token_hash: [u8; 32],
    pub user_nid: UserNid,
    pub device_id: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub stage: TokenStage,
}

/// A new refresh token.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct RefreshTokenRow {
    pub token_hash: [u8; 32],
    pub user_nid: UserNid,
    pub device_id: String,
    pub created_at: i64,
    pub stage: TokenStage,
}

/// A device's new name.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct DeviceNameRow {
    pub user_nid: UserNid,
    pub device_id: String,
    pub display_name: String,
}

/// An account's new password; at most once per user and batch.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct PasswordRow {
    pub user_nid: UserNid,
    pub password_hash: String,
}

/// Ends an account: its password and its profile go, too.
#[derive(Debug, Clone)]
pub struct DeactivationRow {
    /// Whose.
    pub user_nid: UserNid,
    /// When.
    pub at: i64,
    /// Whether account data and filters go as well.
    pub erase: bool,
}

/// What ends with a log entry about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The tokens.
    Tokens,
    /// The tokens and the devices, as with a logout.
    Devices,
    /// The pair in use, in whose place the next one comes.
    Current,
    /// Nothing: what is known of the tokens is read again.
    Nothing,
}

/// Ends tokens of a device, or of all devices, that were made before this batch.
#[derive(Debug, Clone)]
pub struct RevocationRow {
    /// Its position in the user's log.
    pub pos: Position,
    /// Whose.
    pub user_nid: UserNid,
    /// Which device; `None` for all.
    pub device_id: Option<String>,
    /// What ends.
    pub ends: Ends,
}

/// Account data, in place of what was there.
#[derive(Debug, Clone)]
pub struct AccountDataRow {
    /// Whose.
    pub user_nid: UserNid,
    /// The room; `None` for global.
    pub room_nid: Option<RoomNid>,
    /// The type; at most once per user, room and batch.
    pub data_type: String,
    /// A JSON object.
    pub content: Vec<u8>,
    /// Its position in the user's log.
    pub pos: Position,
}

/// A room that a user has forgotten.
#[derive(Debug, Clone)]
pub struct ForgottenRow {
    /// Who.
    pub user_nid: UserNid,
    /// Which; at most once per user and batch.
    pub room_nid: RoomNid,
    /// Up to this position of the room's shard, if nothing later is forgotten already.
    pub up_to: Position,
    /// Its position in the user's log.
    pub pos: Position,
}

/// A user's presence.
#[derive(Debug, Clone)]
pub struct PresenceRow {
    /// Whose; at most once per batch.
    pub user_nid: UserNid,
    /// 0 offline, 1 unavailable, 2 online.
    pub state: i16,
    /// In milliseconds since the epoch; 0: not known.
    pub last_active: i64,
    /// The status message and when it was set; `None`: it stays.
    pub status: Option<(Option<String>, i64)>,
    /// The time of the batch.
    pub updated_at: i64,
}

/// A profile field.
#[derive(Debug, Clone)]
pub struct ProfileRow {
    /// Whose.
    pub user_nid: UserNid,
    /// Its name; at most once per user and batch.
    pub field: String,
    /// A JSON value; `None` removes the field.
    pub value: Option<Vec<u8>>,
}

/// A filter; the same id has the same body.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct FilterRow {
    pub user_nid: UserNid,
    pub filter_id: String,
    pub body: Vec<u8>,
}

/// An act over many rooms, to be done in steps.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct JobRow {
    pub job_id: [u8; 16],
    pub user_nid: UserNid,
    pub kind: i16,
    pub body: Vec<u8>,
    pub created_at: i64,
}

/// How an account stands from now on; at most once per user and batch.
#[derive(Debug, Clone)]
pub struct StandingRow {
    /// Whose.
    pub user_nid: UserNid,
    /// But for `deactivated`, which is [`DeactivationRow`]'s.
    pub standing: Standing,
}

/// A new login token; those of its user that have expired go.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0009_moderation.sql"
)]
pub struct LoginTokenRow {
    pub token_hash: [u8; 32],
    pub user_nid: UserNid,
    pub expires_at: i64,
    pub created_at: i64,
}

/// A report.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0009_moderation.sql"
)]
pub struct ReportRow {
    pub report_id: [u8; 16],
    pub reporter: UserNid,
    pub room_id: Option<String>,
    pub event_id: Option<String>,
    pub user_id: Option<String>,
    pub reason: String,
    pub at: i64,
}

/// All rows of a batch that belong to users.
#[derive(Debug, Default)]
pub struct UserRows {
    /// New accounts.
    pub accounts: Vec<AccountRow>,
    /// Registration tokens used once each.
    pub registration_tokens: Vec<String>,
    /// Tokens ended; carried out before `devices` and `tokens`.
    pub revocations: Vec<RevocationRow>,
    /// Devices whose tokens of the stage `Next`, made before this batch, are replaced.
    pub replaced_next: Vec<(UserNid, String)>,
    /// New passwords.
    pub passwords: Vec<PasswordRow>,
    /// Devices.
    pub devices: Vec<DeviceRow>,
    /// New names of devices from before this batch.
    pub device_names: Vec<DeviceNameRow>,
    /// New tokens.
    pub tokens: Vec<TokenRow>,
    /// New refresh tokens.
    pub refresh_tokens: Vec<RefreshTokenRow>,
    /// Account data.
    pub account_data: Vec<AccountDataRow>,
    /// Forgotten rooms.
    pub forgotten: Vec<ForgottenRow>,
    /// Profile fields.
    pub profiles: Vec<ProfileRow>,
    /// Presence.
    pub presence: Vec<PresenceRow>,
    /// Filters.
    pub filters: Vec<FilterRow>,
    /// New jobs.
    pub jobs: Vec<JobRow>,
    /// How accounts stand.
    pub standings: Vec<StandingRow>,
    /// Users whose login tokens from before this batch end.
    pub ended_login_tokens: Vec<UserNid>,
    /// New login tokens.
    pub login_tokens: Vec<LoginTokenRow>,
    /// Login tokens that are used up, also those of this batch.
    pub used_login_tokens: Vec<[u8; 32]>,
    /// Reports.
    pub reports: Vec<ReportRow>,
    /// Accounts that end; carried out last.
    pub deactivations: Vec<DeactivationRow>,
}

/// Between two writes of a user's presence without a new status message, in milliseconds.
const PRESENCE_EVERY_MS: i64 = 60_000;

const ADD_ACCOUNTS: &str = "INSERT INTO accounts (user_nid, kind, password_hash, created_at) \
    SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bigint[])";
const USE_REGISTRATION_TOKENS: &str = "UPDATE registration_tokens r \
    SET completed = completed + u.times \
    FROM (SELECT token, count(*)::int AS times FROM unnest($1::text[]) AS t (token) GROUP BY token) \
    AS u WHERE r.token = u.token";
const ADD_REVOCATIONS: &str = "INSERT INTO token_revocations (shard, pos, user_nid, device_id) \
    SELECT $1, r.* FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS r";
const END_TOKENS: &str = "DELETE FROM access_tokens t \
    USING unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND (r.device_id IS NULL OR t.device_id = r.device_id)";
const END_REFRESH_TOKENS: &str = "DELETE FROM refresh_tokens t \
    USING unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND (r.device_id IS NULL OR t.device_id = r.device_id)";
const FORGET_ACCESS_TOKENS: &str = "DELETE FROM access_tokens t \
    USING unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND t.device_id = r.device_id AND t.stage = 2 \
    AND t.created_at < (SELECT min(c.created_at) FROM access_tokens c \
    WHERE c.user_nid = t.user_nid AND c.device_id = t.device_id AND c.stage = 0)";
const FORGET_REFRESH_TOKENS: &str = "DELETE FROM refresh_tokens t \
    USING unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND t.device_id = r.device_id AND t.stage = 2 \
    AND t.created_at < (SELECT min(c.created_at) FROM refresh_tokens c \
    WHERE c.user_nid = t.user_nid AND c.device_id = t.device_id AND c.stage = 0)";
const ADVANCE_ACCESS_TOKENS: &str = "UPDATE access_tokens t \
    SET stage = CASE t.stage WHEN 0 THEN 2 ELSE 0 END, \
    expires_at = CASE t.stage WHEN 0 THEN 0 ELSE t.expires_at END \
    FROM unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND t.device_id = r.device_id AND t.stage < 2";
const ADVANCE_REFRESH_TOKENS: &str = "UPDATE refresh_tokens t \
    SET stage = CASE t.stage WHEN 0 THEN 2 ELSE 0 END \
    FROM unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND t.device_id = r.device_id AND t.stage < 2";
const REPLACE_ACCESS_TOKENS: &str = "UPDATE access_tokens t SET stage = 2, expires_at = 0 \
    FROM unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND t.device_id = r.device_id AND t.stage = 1";
const REPLACE_REFRESH_TOKENS: &str = "UPDATE refresh_tokens t SET stage = 2 \
    FROM unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE t.user_nid = r.user_nid AND t.device_id = r.device_id AND t.stage = 1";
const SET_PASSWORDS: &str = "UPDATE accounts a SET password_hash = p.password_hash \
    FROM unnest($1::bigint[], $2::text[]) AS p (user_nid, password_hash) \
    WHERE a.user_nid = p.user_nid";
const NAME_DEVICES: &str = "UPDATE devices d SET display_name = n.display_name \
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (user_nid, device_id, display_name) \
    WHERE d.user_nid = n.user_nid AND d.device_id = n.device_id";
const ADD_REFRESH_TOKENS: &str = "INSERT INTO refresh_tokens (token_hash, user_nid, device_id, \
    created_at, stage) \
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bigint[], $5::smallint[])";
const DEACTIVATE: &str = "UPDATE accounts a \
    SET deactivated_at = d.at, password_hash = NULL, erased = d.erase \
    FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS d (user_nid, at, erase) \
    WHERE a.user_nid = d.user_nid";
const REMOVE_PROFILES: &str = "DELETE FROM profiles WHERE user_nid = ANY($1)";
const REMOVE_FILTERS: &str = "DELETE FROM filters WHERE user_nid = ANY($1)";
const REMOVE_ACCOUNT_DATA: &str = "DELETE FROM account_data \
    WHERE shard = $1 AND user_nid = ANY($2)";
const REMOVE_DEVICES: &str = "DELETE FROM devices d \
    USING unnest($1::bigint[], $2::text[]) AS r (user_nid, device_id) \
    WHERE d.user_nid = r.user_nid AND (r.device_id IS NULL OR d.device_id = r.device_id)";
const ADD_DEVICES: &str = "INSERT INTO devices (user_nid, device_id, display_name, created_at) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) \
    ON CONFLICT DO NOTHING";
const ADD_TOKENS: &str = "INSERT INTO access_tokens (token_hash, user_nid, device_id, created_at, \
    expires_at, stage) SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bigint[], \
    $5::bigint[], $6::smallint[])";
const SET_ACCOUNT_DATA: &str = "INSERT INTO account_data (shard, user_nid, room_nid, type, content, \
    pos) SELECT $1, a.* FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bytea[], \
    $6::bigint[]) AS a \
    ON CONFLICT (shard, user_nid, room_nid, type) DO UPDATE SET content = excluded.content, \
    pos = excluded.pos";
const FORGET_ROOMS: &str = "INSERT INTO forgotten_rooms (shard, user_nid, room_nid, up_to, pos) \
    SELECT $1, f.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS f \
    ON CONFLICT (user_nid, room_nid) DO UPDATE \
    SET up_to = greatest(forgotten_rooms.up_to, excluded.up_to), pos = excluded.pos";
const SET_PROFILES: &str = "INSERT INTO profiles (user_nid, field, value) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[]) \
    ON CONFLICT (user_nid, field) DO UPDATE SET value = excluded.value";
const CLEAR_PROFILES: &str = "DELETE FROM profiles p \
    USING unnest($1::bigint[], $2::text[]) AS c (user_nid, field) \
    WHERE p.user_nid = c.user_nid AND p.field = c.field";
const SET_PRESENCE: &str = "INSERT INTO presence \
    (user_nid, state, last_active, status_msg, status_at, updated_at) \
    SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::text[], $5::bigint[], \
    $6::bigint[]) ON CONFLICT (user_nid) DO UPDATE SET state = excluded.state, \
    last_active = greatest(presence.last_active, excluded.last_active), \
    status_msg = CASE WHEN excluded.status_at > presence.status_at THEN excluded.status_msg \
    ELSE presence.status_msg END, \
    status_at = greatest(presence.status_at, excluded.status_at), updated_at = excluded.updated_at \
    WHERE excluded.status_at > presence.status_at \
    OR excluded.updated_at >= presence.updated_at + $7";
const REMOVE_PRESENCE: &str = "DELETE FROM presence WHERE user_nid = ANY($1)";
const ADD_FILTERS: &str = "INSERT INTO filters (user_nid, filter_id, body) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[]) ON CONFLICT DO NOTHING";
const SET_STANDINGS: &str = "UPDATE accounts a \
    SET kind = s.kind, locked = s.locked, suspended = s.suspended \
    FROM unnest($1::bigint[], $2::smallint[], $3::boolean[], $4::boolean[]) \
    AS s (user_nid, kind, locked, suspended) WHERE a.user_nid = s.user_nid";
const END_LOGIN_TOKENS: &str = "DELETE FROM login_tokens WHERE user_nid = ANY($1)";
const END_EXPIRED_LOGIN_TOKENS: &str = "DELETE FROM login_tokens t \
    USING unnest($1::bigint[], $2::bigint[]) AS n (user_nid, now) \
    WHERE t.user_nid = n.user_nid AND t.expires_at <= n.now";
const ADD_LOGIN_TOKENS: &str = "INSERT INTO login_tokens (token_hash, user_nid, expires_at) \
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])";
const USE_LOGIN_TOKENS: &str = "DELETE FROM login_tokens WHERE token_hash = ANY($1)";
const ADD_REPORTS: &str = "INSERT INTO reports (report_id, reporter, room_id, event_id, user_id, \
    reason, at) SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], \
    $6::text[], $7::bigint[])";
const ADD_JOBS: &str = "INSERT INTO jobs (shard, job_id, user_nid, kind, body, created_at) \
    SELECT $1, j.* FROM unnest($2::bytea[], $3::bigint[], $4::smallint[], $5::bytea[], \
    $6::bigint[]) AS j ON CONFLICT DO NOTHING";

/// Every statement of this module.
pub(super) const STATEMENTS: &[&str] = &[
    ADD_ACCOUNTS,
    USE_REGISTRATION_TOKENS,
    ADD_REVOCATIONS,
    END_TOKENS,
    END_REFRESH_TOKENS,
    FORGET_ACCESS_TOKENS,
    FORGET_REFRESH_TOKENS,
    ADVANCE_ACCESS_TOKENS,
    ADVANCE_REFRESH_TOKENS,
    REPLACE_ACCESS_TOKENS,
    REPLACE_REFRESH_TOKENS,
    SET_PASSWORDS,
    NAME_DEVICES,
    ADD_REFRESH_TOKENS,
    DEACTIVATE,
    REMOVE_PROFILES,
    REMOVE_FILTERS,
    REMOVE_ACCOUNT_DATA,
    REMOVE_DEVICES,
    ADD_DEVICES,
    ADD_TOKENS,
    SET_ACCOUNT_DATA,
    FORGET_ROOMS,
    SET_PROFILES,
    CLEAR_PROFILES,
    SET_PRESENCE,
    REMOVE_PRESENCE,
    ADD_FILTERS,
    SET_STANDINGS,
    END_LOGIN_TOKENS,
    END_EXPIRED_LOGIN_TOKENS,
    ADD_LOGIN_TOKENS,
    USE_LOGIN_TOKENS,
    ADD_REPORTS,
    ADD_JOBS,
];

macro_rules! column {
    ($rows:expr, $type:expr, $field:expr) => {
        (
            Box::new($rows.iter().map($field).collect::<Vec<_>>()),
            $type,
        )
    };
}

impl UserRows {
    pub(super) fn add_to(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        self.add_accounts(pipeline);
        self.add_revocations(pipeline, shard);
        self.add_rotations(pipeline);
        self.add_devices(pipeline);
        self.add_tokens(pipeline);
        self.add_login_tokens(pipeline);
        self.add_moderation(pipeline);
        self.add_data(pipeline, shard);
        self.add_deactivations(pipeline, shard);
    }

    fn add_accounts(&self, pipeline: &mut Pipeline<'_>) {
        let a = &self.accounts;
        if !a.is_empty() {
            pipeline.add(
                ADD_ACCOUNTS,
                vec![
                    column!(a, Type::INT8_ARRAY, |a| a.user_nid.0),
                    column!(a, Type::INT2_ARRAY, |a| a.kind),
                    column!(a, Type::TEXT_ARRAY, |a| a.password_hash.clone()),
                    column!(a, Type::INT8_ARRAY, |a| a.created_at),
                ],
            );
        }
        if !self.registration_tokens.is_empty() {
            pipeline.add(
                USE_REGISTRATION_TOKENS,
                vec![(Box::new(self.registration_tokens.clone()), Type::TEXT_ARRAY)],
            );
        }
        let p = &self.passwords;
        if !p.is_empty() {
            pipeline.add(
                SET_PASSWORDS,
                vec![
                    column!(p, Type::INT8_ARRAY, |p| p.user_nid.0),
                    column!(p, Type::TEXT_ARRAY, |p| p.password_hash.clone()),
                ],
            );
        }
    }

    fn add_revocations(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let r = &self.revocations;
        if r.is_empty() {
            return;
        }
        pipeline.add(
            ADD_REVOCATIONS,
            vec![
                (Box::new(shard), Type::INT2),
                column!(r, Type::INT8_ARRAY, |r| r.pos),
                column!(r, Type::INT8_ARRAY, |r| r.user_nid.0),
                column!(r, Type::TEXT_ARRAY, |r| r.device_id.clone()),
            ],
        );
        let tokens = |r: &&RevocationRow| matches!(r.ends, Ends::Tokens | Ends::Devices);
        let all: Vec<_> = r.iter().filter(tokens).collect();
        let gone: Vec<_> = r.iter().filter(|r| r.ends == Ends::Devices).collect();
        for (statement, rows) in [
            (END_TOKENS, &all),
            (END_REFRESH_TOKENS, &all),
            (REMOVE_DEVICES, &gone),
        ] {
            if !rows.is_empty() {
                pipeline.add(
                    statement,
                    vec![
                        column!(rows, Type::INT8_ARRAY, |r| r.user_nid.0),
                        column!(rows, Type::TEXT_ARRAY, |r| r.device_id.clone()),
                    ],
                );
            }
        }
    }

    /// Puts the next pairs of tokens in the place of those in use; then replaces next pairs. After a
    /// device's next pair has come into use there is none to replace but that of this batch, which
    /// is made later.
    fn add_rotations(&self, pipeline: &mut Pipeline<'_>) {
        let advanced: Vec<(UserNid, String)> = self
            .revocations
            .iter()
            .filter(|r| r.ends == Ends::Current)
            .filter_map(|r| Some((r.user_nid, r.device_id.clone()?)))
            .collect();
        for (statement, devices) in [
            (FORGET_ACCESS_TOKENS, &advanced),
            (FORGET_REFRESH_TOKENS, &advanced),
            (ADVANCE_ACCESS_TOKENS, &advanced),
            (ADVANCE_REFRESH_TOKENS, &advanced),
            (REPLACE_ACCESS_TOKENS, &self.replaced_next),
            (REPLACE_REFRESH_TOKENS, &self.replaced_next),
        ] {
            if !devices.is_empty() {
                pipeline.add(
                    statement,
                    vec![
                        column!(devices, Type::INT8_ARRAY, |(user, _)| user.0),
                        column!(devices, Type::TEXT_ARRAY, |(_, device)| device.clone()),
                    ],
                );
            }
        }
    }

    fn add_devices(&self, pipeline: &mut Pipeline<'_>) {
        let d = &self.devices;
        if !d.is_empty() {
            pipeline.add(
                ADD_DEVICES,
                vec![
                    column!(d, Type::INT8_ARRAY, |d| d.user_nid.0),
                    column!(d, Type::TEXT_ARRAY, |d| d.device_id.clone()),
                    column!(d, Type::TEXT_ARRAY, |d| d.display_name.clone()),
                    column!(d, Type::INT8_ARRAY, |d| d.created_at),
                ],
            );
        }
        let n = &self.device_names;
        if !n.is_empty() {
            pipeline.add(
                NAME_DEVICES,
                vec![
                    column!(n, Type::INT8_ARRAY, |n| n.user_nid.0),
                    column!(n, Type::TEXT_ARRAY, |n| n.device_id.clone()),
                    column!(n, Type::TEXT_ARRAY, |n| n.display_name.clone()),
                ],
            );
        }
    }

    fn add_tokens(&self, pipeline: &mut Pipeline<'_>) {
        let t = &self.tokens;
        if !t.is_empty() {
            pipeline.add(
                ADD_TOKENS,
                vec![
                    column!(t, Type::BYTEA_ARRAY, |t| t.token_hash.to_vec()),
                    column!(t, Type::INT8_ARRAY, |t| t.user_nid.0),
                    column!(t, Type::TEXT_ARRAY, |t| t.device_id.clone()),
                    column!(t, Type::INT8_ARRAY, |t| t.created_at),
                    column!(t, Type::INT8_ARRAY, |t| t.expires_at),
                    column!(t, Type::INT2_ARRAY, |t| t.stage.number()),
                ],
            );
        }
        let t = &self.refresh_tokens;
        if !t.is_empty() {
            pipeline.add(
                ADD_REFRESH_TOKENS,
                vec![
                    column!(t, Type::BYTEA_ARRAY, |t| t.token_hash.to_vec()),
                    column!(t, Type::INT8_ARRAY, |t| t.user_nid.0),
                    column!(t, Type::TEXT_ARRAY, |t| t.device_id.clone()),
                    column!(t, Type::INT8_ARRAY, |t| t.created_at),
                    column!(t, Type::INT2_ARRAY, |t| t.stage.number()),
                ],
            );
        }
    }

    fn add_data(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let a = &self.account_data;
        if !a.is_empty() {
            pipeline.add(
                SET_ACCOUNT_DATA,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(a, Type::INT8_ARRAY, |a| a.user_nid.0),
                    column!(a, Type::INT8_ARRAY, |a| a.room_nid.map_or(0, |room| room.0)),
                    column!(a, Type::TEXT_ARRAY, |a| a.data_type.clone()),
                    column!(a, Type::BYTEA_ARRAY, |a| a.content.clone()),
                    column!(a, Type::INT8_ARRAY, |a| a.pos),
                ],
            );
        }
        self.add_forgotten(pipeline, shard);
        self.add_profiles(pipeline);
        self.add_presence(pipeline);
        let f = &self.filters;
        if !f.is_empty() {
            pipeline.add(
                ADD_FILTERS,
                vec![
                    column!(f, Type::INT8_ARRAY, |f| f.user_nid.0),
                    column!(f, Type::TEXT_ARRAY, |f| f.filter_id.clone()),
                    column!(f, Type::BYTEA_ARRAY, |f| f.body.clone()),
                ],
            );
        }
        let j = &self.jobs;
        if !j.is_empty() {
            pipeline.add(
                ADD_JOBS,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(j, Type::BYTEA_ARRAY, |j| j.job_id.to_vec()),
                    column!(j, Type::INT8_ARRAY, |j| j.user_nid.0),
                    column!(j, Type::INT2_ARRAY, |j| j.kind),
                    column!(j, Type::BYTEA_ARRAY, |j| j.body.clone()),
                    column!(j, Type::INT8_ARRAY, |j| j.created_at),
                ],
            );
        }
    }

    fn add_forgotten(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let f = &self.forgotten;
        if !f.is_empty() {
            pipeline.add(
                FORGET_ROOMS,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(f, Type::INT8_ARRAY, |f| f.user_nid.0),
                    column!(f, Type::INT8_ARRAY, |f| f.room_nid.0),
                    column!(f, Type::INT8_ARRAY, |f| f.up_to),
                    column!(f, Type::INT8_ARRAY, |f| f.pos),
                ],
            );
        }
    }

    fn add_profiles(&self, pipeline: &mut Pipeline<'_>) {
        let set: Vec<_> = self
            .profiles
            .iter()
            .filter_map(|p| p.value.as_ref().map(|value| (p.user_nid, &p.field, value)))
            .collect();
        if !set.is_empty() {
            pipeline.add(
                SET_PROFILES,
                vec![
                    column!(set, Type::INT8_ARRAY, |(user, _, _)| user.0),
                    column!(set, Type::TEXT_ARRAY, |(_, field, _)| (*field).clone()),
                    column!(set, Type::BYTEA_ARRAY, |(_, _, value)| (*value).clone()),
                ],
            );
        }
        let cleared: Vec<_> = self.profiles.iter().filter(|p| p.value.is_none()).collect();
        if !cleared.is_empty() {
            pipeline.add(
                CLEAR_PROFILES,
                vec![
                    column!(cleared, Type::INT8_ARRAY, |p| p.user_nid.0),
                    column!(cleared, Type::TEXT_ARRAY, |p| p.field.clone()),
                ],
            );
        }
    }

    fn add_presence(&self, pipeline: &mut Pipeline<'_>) {
        let p = &self.presence;
        if p.is_empty() {
            return;
        }
        let text = |p: &PresenceRow| p.status.as_ref().and_then(|(text, _)| text.clone());
        let set_at = |p: &PresenceRow| p.status.as_ref().map_or(0, |(_, at)| *at);
        pipeline.add(
            SET_PRESENCE,
            vec![
                column!(p, Type::INT8_ARRAY, |p| p.user_nid.0),
                column!(p, Type::INT2_ARRAY, |p| p.state),
                column!(p, Type::INT8_ARRAY, |p| p.last_active),
                column!(p, Type::TEXT_ARRAY, text),
                column!(p, Type::INT8_ARRAY, set_at),
                column!(p, Type::INT8_ARRAY, |p| p.updated_at),
                (Box::new(PRESENCE_EVERY_MS), Type::INT8),
            ],
        );
    }

    fn add_login_tokens(&self, pipeline: &mut Pipeline<'_>) {
        let ended: Vec<i64> = self.ended_login_tokens.iter().map(|user| user.0).collect();
        if !ended.is_empty() {
            pipeline.add(END_LOGIN_TOKENS, vec![(Box::new(ended), Type::INT8_ARRAY)]);
        }
        let t = &self.login_tokens;
        if !t.is_empty() {
            pipeline.add(
                END_EXPIRED_LOGIN_TOKENS,
                vec![
                    column!(t, Type::INT8_ARRAY, |t| t.user_nid.0),
                    column!(t, Type::INT8_ARRAY, |t| t.created_at),
                ],
            );
            pipeline.add(
                ADD_LOGIN_TOKENS,
                vec![
                    column!(t, Type::BYTEA_ARRAY, |t| t.token_hash.to_vec()),
                    column!(t, Type::INT8_ARRAY, |t| t.user_nid.0),
                    column!(t, Type::INT8_ARRAY, |t| t.expires_at),
                ],
            );
        }
        let used = &self.used_login_tokens;
        if !used.is_empty() {
            pipeline.add(
                USE_LOGIN_TOKENS,
                vec![column!(used, Type::BYTEA_ARRAY, |hash| hash.to_vec())],
            );
        }
    }

    fn add_moderation(&self, pipeline: &mut Pipeline<'_>) {
        let s = &self.standings;
        if !s.is_empty() {
            pipeline.add(
                SET_STANDINGS,
                vec![
                    column!(s, Type::INT8_ARRAY, |s| s.user_nid.0),
                    column!(s, Type::INT2_ARRAY, |s| s.standing.kind),
                    column!(s, Type::BOOL_ARRAY, |s| s.standing.locked),
                    column!(s, Type::BOOL_ARRAY, |s| s.standing.suspended),
                ],
            );
        }
        let r = &self.reports;
        if !r.is_empty() {
            pipeline.add(
                ADD_REPORTS,
                vec![
                    column!(r, Type::BYTEA_ARRAY, |r| r.report_id.to_vec()),
                    column!(r, Type::INT8_ARRAY, |r| r.reporter.0),
                    column!(r, Type::TEXT_ARRAY, |r| r.room_id.clone()),
                    column!(r, Type::TEXT_ARRAY, |r| r.event_id.clone()),
                    column!(r, Type::TEXT_ARRAY, |r| r.user_id.clone()),
                    column!(r, Type::TEXT_ARRAY, |r| r.reason.clone()),
                    column!(r, Type::INT8_ARRAY, |r| r.at),
                ],
            );
        }
    }

    fn add_deactivations(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let d = &self.deactivations;
        if d.is_empty() {
            return;
        }
        pipeline.add(
            DEACTIVATE,
            vec![
                column!(d, Type::INT8_ARRAY, |d| d.user_nid.0),
                column!(d, Type::INT8_ARRAY, |d| d.at),
                column!(d, Type::BOOL_ARRAY, |d| d.erase),
            ],
        );
        pipeline.add(
            REMOVE_PROFILES,
            vec![column!(d, Type::INT8_ARRAY, |d| d.user_nid.0)],
        );
        pipeline.add(
            REMOVE_PRESENCE,
            vec![column!(d, Type::INT8_ARRAY, |d| d.user_nid.0)],
        );
        let erased: Vec<_> = d.iter().filter(|d| d.erase).collect();
        if !erased.is_empty() {
            pipeline.add(
                REMOVE_FILTERS,
                vec![column!(erased, Type::INT8_ARRAY, |d| d.user_nid.0)],
            );
            pipeline.add(
                REMOVE_ACCOUNT_DATA,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(erased, Type::INT8_ARRAY, |d| d.user_nid.0),
                ],
            );
        }
    }
}
