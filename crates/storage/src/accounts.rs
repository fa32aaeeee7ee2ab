//! Accounts, devices, tokens, profiles, filters and jobs: reads for everybody, and the steps of
//! jobs. All else is written in batches of the user's shard ([`crate::batch::UserRows`]).

use std::collections::{HashMap, HashSet};

use ganglion_model::{Position, RoomNid, Shard, UserNid};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;

/// An account and what a login checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The user's number.
    pub user_nid: UserNid,
    /// 0 person, 1 administrator, 2 guest, 3 application service.
    pub kind: i16,
    /// In the form of the PHC string format; `None` if no password logs in.
    pub password_hash: Option<String>,
    /// Deactivated for good.
    pub deactivated: bool,
    /// No request is served but a logout.
    pub locked: bool,
    /// No request is served that others would see, but those that come with reading.
    pub suspended: bool,
}

/// [`AccountRecord::kind`] of an ordinary account.
pub const PERSON: i16 = 0;
/// [`AccountRecord::kind`] of who may use the administration's endpoints.
pub const ADMINISTRATOR: i16 = 1;

/// How an account stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// As [`AccountRecord::kind`].
    pub kind: i16,
    /// Deactivated for good.
    pub deactivated: bool,
    /// No request is served but a logout.
    pub locked: bool,
    /// No request is served that others would see, but those that come with reading.
    pub suspended: bool,
}

/// A token with which another device of a user logs in, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginTokenRecord {
    /// Whose.
    pub user_nid: UserNid,
    /// When it ends by itself.
    pub expires_at: i64,
}

/// Whose an access token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// The user's id.
    pub user_id: String,
    /// The user's number.
    pub user_nid: UserNid,
    /// The device it belongs to.
    pub device_id: String,
    /// As [`AccountRecord::kind`].
    pub kind: i16,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
    /// Where it stands among the device's tokens.
    pub stage: TokenStage,
    /// As [`AccountRecord::locked`].
    pub locked: bool,
    /// As [`AccountRecord::suspended`].
    pub suspended: bool,
}

/// Where a token stands among the tokens of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStage {
    /// In use.
    Current,
    /// Made by a refresh and not used yet.
    Next,
    /// Replaced by one that was used.
    Past,
}

impl TokenStage {
    /// The number in the database.
    #[must_use]
    pub fn number(self) -> i16 {
        match self {
            Self::Current => 0,
            Self::Next => 1,
            Self::Past => 2,
        }
    }

    fn decode(number: i16) -> Result<Self, StorageError> {
        match number {
            0 => Ok(Self::Current),
            1 => Ok(Self::Next),
            2 => Ok(Self::Past),
            _ => Err(StorageError::inconsistent(format!("stage {number}"))),
        }
    }
}

/// The device of a token, and where it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPlace {
    /// Whose.
    pub user_nid: UserNid,
    /// Which device's.
    pub device_id: String,
    /// Where.
    pub stage: TokenStage,
}

/// A device as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its id.
    pub device_id: String,
    /// What it is called.
    pub display_name: Option<String>,
}

/// What is left of a registration token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationTokenRecord {
    /// How many accounts may be made with it in all; `None`: no limit.
    pub uses_allowed: Option<i32>,
    /// How many were made.
    pub completed: i32,
    /// When it ends.
    pub expires_at: Option<i64>,
}

impl RegistrationTokenRecord {
    /// Whether one more account can be made with it.
    #[must_use]
    pub fn is_valid(&self, now_ms: i64) -> bool {
        self.uses_allowed
            .is_none_or(|allowed| self.completed < allowed)
            && self.expires_at.is_none_or(|end| now_ms < end)
    }
}

/// An act over many rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The shard of its user, or of the room it is about.
    pub shard: Shard,
    /// Its id, the same for ever.
    pub job_id: [u8; 16],
    /// Whose it is.
    pub user_nid: UserNid,
    /// The user's id.
    pub user_id: String,
    /// What is to be done.
    pub kind: i16,
    /// The last room that is finished.
    pub done: RoomNid,
    /// When it was ordered.
    pub created_at: i64,
    /// What more it is about, in a form of its kind.
    pub body: Vec<u8>,
}

const ACCOUNT: &str = "SELECT a.user_nid, a.kind, a.password_hash, a.deactivated_at IS NOT NULL, \
    a.locked, a.suspended FROM users u JOIN accounts a ON a.user_nid = u.user_nid WHERE u.user_id = $1";
const STANDINGS: &str = "SELECT user_nid, kind, deactivated_at IS NOT NULL, locked, suspended \
    FROM accounts WHERE user_nid = ANY($1)";
const ERASED: &str = "SELECT u.user_id, a.deactivated_at FROM users u \
    JOIN accounts a ON a.user_nid = u.user_nid \
    WHERE u.user_id = ANY($1) AND a.erased AND a.deactivated_at IS NOT NULL";
const DEACTIVATED: &str = "SELECT u.user_id FROM users u \
    JOIN accounts a ON a.user_nid = u.user_nid \
    WHERE u.user_id = ANY($1) AND a.deactivated_at IS NOT NULL";
const LOGIN_TOKENS: &str = "SELECT token_hash, user_nid, expires_at FROM login_tokens \
    WHERE token_hash = ANY($1)";
const LOGIN_TOKEN_OWNER: &str = "SELECT u.user_id FROM login_tokens t \
    JOIN users u ON u.user_nid = t.user_nid WHERE t.token_hash = $1 AND t.expires_at > $2";
const TOKEN: &str = "SELECT u.user_id, t.user_nid, t.device_id, a.kind, t.expires_at, t.stage, \
    a.locked, a.suspended \
    FROM access_tokens t JOIN users u ON u.user_nid = t.user_nid \
    JOIN accounts a ON a.user_nid = t.user_nid \
    WHERE t.token_hash = $1 AND a.deactivated_at IS NULL";
const ACCESS_PLACES: &str = "SELECT token_hash, user_nid, device_id, stage FROM access_tokens \
    WHERE token_hash = ANY($1)";
const REFRESH_PLACES: &str = "SELECT token_hash, user_nid, device_id, stage FROM refresh_tokens \
    WHERE token_hash = ANY($1)";
const REFRESH_OWNER: &str = "SELECT u.user_id FROM refresh_tokens t \
    JOIN users u ON u.user_nid = t.user_nid WHERE t.token_hash = $1";
const DEVICES_OF: &str = "SELECT device_id, display_name FROM devices WHERE user_nid = $1 \
    ORDER BY created_at, device_id";
const DEVICES_OF_ALL: &str = "SELECT user_nid, device_id FROM devices WHERE user_nid = ANY($1)";
const DEVICES: &str = "SELECT d.user_nid, d.device_id FROM devices d \
    JOIN unnest($1::bigint[], $2::text[]) AS k (user_nid, device_id) USING (user_nid, device_id)";
const OWN_PUSH_RULES: &str = "SELECT a.user_nid, u.user_id, a.content FROM account_data a \
    JOIN users u ON u.user_nid = a.user_nid \
    WHERE a.user_nid = ANY($1) AND a.room_nid = 0 AND a.type = 'm.push_rules'";
const ACCOUNT_DATA: &str = "SELECT content FROM account_data \
    WHERE shard = $1 AND user_nid = $2 AND room_nid = $3 AND type = $4";
const PIECES: &str = "SELECT d.user_nid, d.room_nid, d.type, d.content, d.pos FROM account_data d \
    JOIN unnest($2::bigint[], $3::bigint[], $4::text[]) AS k (user_nid, room_nid, type) \
    USING (user_nid, room_nid, type) WHERE d.shard = $1";
const PROFILES: &str = "SELECT user_nid, field, value FROM profiles WHERE user_nid = ANY($1) \
    ORDER BY user_nid, field";
const PRESENCE: &str = "SELECT user_nid, state, last_active, status_msg, status_at, updated_at \
    FROM presence WHERE user_nid = ANY($1)";
const FILTER: &str = "SELECT body FROM filters WHERE user_nid = $1 AND filter_id = $2";
const REGISTRATION_TOKENS: &str = "SELECT token, uses_allowed, completed, expires_at \
    FROM registration_tokens WHERE token = ANY($1)";
const JOBS: &str = "SELECT j.shard, j.job_id, j.user_nid, u.user_id, j.kind, j.done, j.created_at, j.body \
    FROM jobs j JOIN users u ON u.user_nid = j.user_nid WHERE j.shard = ANY($1) \
    ORDER BY j.created_at, j.job_id LIMIT $2";
const ADVANCE_JOB: &str = "UPDATE jobs SET done = greatest(done, $3) \
    WHERE shard = $1 AND job_id = $2";
const END_JOB: &str = "DELETE FROM jobs WHERE shard = $1 AND job_id = $2";
const END_SUPERSEDED_JOBS: &str = "DELETE FROM jobs j USING jobs n \
    WHERE j.shard = $1 AND j.user_nid = $2 AND j.kind = ANY($3) \
    AND n.shard = $1 AND n.job_id = $4 \
    AND (j.created_at, j.job_id) < (n.created_at, n.job_id)";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    ACCOUNT,
    STANDINGS,
    ERASED,
    DEACTIVATED,
    LOGIN_TOKENS,
    LOGIN_TOKEN_OWNER,
    TOKEN,
    ACCESS_PLACES,
    REFRESH_PLACES,
    REFRESH_OWNER,
    DEVICES_OF,
    DEVICES_OF_ALL,
    DEVICES,
    OWN_PUSH_RULES,
    ACCOUNT_DATA,
    PIECES,
    PROFILES,
    PRESENCE,
    FILTER,
    REGISTRATION_TOKENS,
    JOBS,
    ADVANCE_JOB,
    END_JOB,
    END_SUPERSEDED_JOBS,
];

/// The account of a user id; `None` if there is none.
///
/// # Errors
/// As [`Connection::query`].
pub async fn account(
    connection: &Connection,
    user_id: &str,
) -> Result<Option<AccountRecord>, StorageError> {
    let row = connection
        .query_opt(ACCOUNT, &[(&user_id, Type::TEXT)])
        .await?;
    row.map(|row| {
        Ok(AccountRecord {
            user_nid: UserNid(row.try_get(0)?),
            kind: row.try_get(1)?,
            password_hash: row.try_get(2)?,
            deactivated: row.try_get(3)?,
            locked: row.try_get(4)?,
            suspended: row.try_get(5)?,
        })
    })
    .transpose()
}

/// Which of the users have an account, and how it stands.
///
/// # Errors
/// As [`Connection::query`].
pub async fn standings(
    connection: &Connection,
    users: &[UserNid],
) -> Result<HashMap<UserNid, Standing>, StorageError> {
    let nids = numbers(users);
    let rows = connection
        .query(STANDINGS, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| {
            let standing = Standing {
                kind: row.try_get(1)?,
                deactivated: row.try_get(2)?,
                locked: row.try_get(3)?,
                suspended: row.try_get(4)?,
            };
            Ok((UserNid(row.try_get(0)?), standing))
        })
        .collect()
}

/// Of some users, those who wished to be erased when their account was deactivated, and when that was,
/// in milliseconds since the epoch.
///
/// # Errors
/// As [`Connection::query`].
pub async fn erased(
    connection: &Connection,
    users: &[&str],
) -> Result<Vec<(String, i64)>, StorageError> {
    let rows = connection
        .query(ERASED, &[(&users, Type::TEXT_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Those of the users whose account is deactivated.
///
/// # Errors
/// As [`Connection::query`].
pub async fn deactivated(
    connection: &Connection,
    user_ids: &[&str],
) -> Result<HashSet<String>, StorageError> {
    let rows = connection
        .query(DEACTIVATED, &[(&user_ids, Type::TEXT_ARRAY)])
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Those of the login tokens that exist, by their hashes.
///
/// # Errors
/// As [`Connection::query`].
pub async fn login_tokens(
    connection: &Connection,
    hashes: &[[u8; 32]],
) -> Result<HashMap<[u8; 32], LoginTokenRecord>, StorageError> {
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let rows = connection
        .query(LOGIN_TOKENS, &[(&hashes, Type::BYTEA_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| {
            let record = LoginTokenRecord {
                user_nid: UserNid(row.try_get(1)?),
                expires_at: row.try_get(2)?,
            };
            Ok((decode_hash(row)?, record))
        })
        .collect()
}

/// The user of a login token, by its hash; `None` if it is not known, or has expired at `now_ms`.
///
/// # Errors
/// As [`Connection::query`].
pub async fn login_token_owner(
    connection: &Connection,
    token_hash: &[u8; 32],
    now_ms: i64,
) -> Result<Option<String>, StorageError> {
    let hash = token_hash.as_slice();
    let row = connection
        .query_opt(
            LOGIN_TOKEN_OWNER,
            &[(&hash, Type::BYTEA), (&now_ms, Type::INT8)],
        )
        .await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// The first column, a hash.
fn decode_hash(row: &Row) -> Result<[u8; 32], StorageError> {
    let hash: &[u8] = row.try_get(0)?;
    hash.try_into()
        .map_err(|_not_32| StorageError::inconsistent("token_hash: not 32 bytes"))
}

/// Whose an access token is, by its hash; `None` if it is not known or its account is deactivated.
///
/// # Errors
/// As [`Connection::query`].
pub async fn token(
    connection: &Connection,
    token_hash: &[u8; 32],
) -> Result<Option<TokenRecord>, StorageError> {
    let hash = token_hash.as_slice();
    let row = connection.query_opt(TOKEN, &[(&hash, Type::BYTEA)]).await?;
    row.map(|row| {
        Ok(TokenRecord {
            user_id: row.try_get(0)?,
            user_nid: UserNid(row.try_get(1)?),
            device_id: row.try_get(2)?,
            kind: row.try_get(3)?,
            expires_at: row.try_get(4)?,
            stage: TokenStage::decode(row.try_get(5)?)?,
            locked: row.try_get(6)?,
            suspended: row.try_get(7)?,
        })
    })
    .transpose()
}

/// Where access tokens stand, by their hashes; those that are not known are left out.
///
/// # Errors
/// As [`Connection::query`].
pub async fn access_places(
    connection: &Connection,
    hashes: &[[u8; 32]],
) -> Result<HashMap<[u8; 32], TokenPlace>, StorageError> {
    places(connection, ACCESS_PLACES, hashes).await
}

/// The same of refresh tokens.
///
/// # Errors
/// As [`Connection::query`].
pub async fn refresh_places(
    connection: &Connection,
    hashes: &[[u8; 32]],
) -> Result<HashMap<[u8; 32], TokenPlace>, StorageError> {
    places(connection, REFRESH_PLACES, hashes).await
}

async fn places(
    connection: &Connection,
    statement: &'static str,
    hashes: &[[u8; 32]],
) -> Result<HashMap<[u8; 32], TokenPlace>, StorageError> {
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let rows = connection
        .query(statement, &[(&hashes, Type::BYTEA_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| {
            let place = TokenPlace {
                user_nid: UserNid(row.try_get(1)?),
                device_id: row.try_get(2)?,
                stage: TokenStage::decode(row.try_get(3)?)?,
            };
            Ok((decode_hash(row)?, place))
        })
        .collect()
}

/// The user of a refresh token, by its hash; `None` if it is not known.
///
/// # Errors
/// As [`Connection::query`].
pub async fn refresh_owner(
    connection: &Connection,
    token_hash: &[u8; 32],
) -> Result<Option<String>, StorageError> {
    let hash = token_hash.as_slice();
    let row = connection
        .query_opt(REFRESH_OWNER, &[(&hash, Type::BYTEA)])
        .await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// All devices of a user, oldest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn devices_of(
    connection: &Connection,
    user: UserNid,
) -> Result<Vec<DeviceRecord>, StorageError> {
    let rows = connection
        .query(DEVICES_OF, &[(&user.0, Type::INT8)])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(DeviceRecord {
                device_id: row.try_get(0)?,
                display_name: row.try_get(1)?,
            })
        })
        .collect()
}

/// The ids of all devices of some users.
///
/// # Errors
/// As [`Connection::query`].
pub async fn device_ids_of(
    connection: &Connection,
    users: &[UserNid],
) -> Result<Vec<(UserNid, String)>, StorageError> {
    let nids = numbers(users);
    let rows = connection
        .query(DEVICES_OF_ALL, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((UserNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

/// Those of the devices that exist.
///
/// # Errors
/// As [`Connection::query`].
pub async fn existing_devices(
    connection: &Connection,
    devices: &[(UserNid, String)],
) -> Result<Vec<(UserNid, String)>, StorageError> {
    let (users, names): (Vec<i64>, Vec<&str>) = devices
        .iter()
        .map(|(user, device)| (user.0, device.as_str()))
        .unzip();
    let params = [
        (&users as _, Type::INT8_ARRAY),
        (&names as _, Type::TEXT_ARRAY),
    ];
    let rows = connection.query(DEVICES, &params).await?;
    rows.iter()
        .map(|row| Ok((UserNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

/// The push rules of those of some users who have rules of their own: number, id, `m.push_rules`.
///
/// # Errors
/// As [`Connection::query`].
pub async fn own_push_rules(
    connection: &Connection,
    users: &[UserNid],
) -> Result<Vec<(UserNid, String, Vec<u8>)>, StorageError> {
    let nids = numbers(users);
    let rows = connection
        .query(OWN_PUSH_RULES, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((UserNid(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?)))
        .collect()
}

/// One piece of a user's account data; `room` is `None` for global account data.
///
/// # Errors
/// As [`Connection::query`].
pub async fn account_data(
    connection: &Connection,
    shard: Shard,
    user: UserNid,
    room: Option<RoomNid>,
    data_type: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    let room = room.map_or(0, |room| room.0);
    let params = [
        (&shard.number() as _, Type::INT2),
        (&user.0 as _, Type::INT8),
        (&room as _, Type::INT8),
        (&data_type as _, Type::TEXT),
    ];
    let row = connection.query_opt(ACCOUNT_DATA, &params).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// One piece of account data: whose, of which room (`None`: global), of which type.
pub type DataKey = (UserNid, Option<RoomNid>, String);

/// Pieces of account data of users of one shard, those that are there: content, and where in the log
/// of the shard it was set.
///
/// # Errors
/// As [`Connection::query`].
pub async fn pieces_of_account_data(
    connection: &Connection,
    shard: Shard,
    keys: &[DataKey],
) -> Result<HashMap<DataKey, (Vec<u8>, Position)>, StorageError> {
    let users: Vec<i64> = keys.iter().map(|(user, ..)| user.0).collect();
    let number = |room: Option<RoomNid>| room.map_or(0, |room| room.0);
    let rooms: Vec<i64> = keys.iter().map(|(_, room, _)| number(*room)).collect();
    let types: Vec<&str> = keys.iter().map(|(.., name)| name.as_str()).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&users as _, Type::INT8_ARRAY),
        (&rooms as _, Type::INT8_ARRAY),
        (&types as _, Type::TEXT_ARRAY),
    ];
    let rows = connection.query(PIECES, &params).await?;
    rows.iter()
        .map(|row| {
            let room: i64 = row.try_get(1)?;
            let room = (room != 0).then_some(RoomNid(room));
            Ok((
                (UserNid(row.try_get(0)?), room, row.try_get(2)?),
                (row.try_get(3)?, row.try_get(4)?),
            ))
        })
        .collect()
}

/// The profile fields of users, each a JSON value; in order of user and field.
///
/// # Errors
/// As [`Connection::query`].
pub async fn profiles(
    connection: &Connection,
    users: &[UserNid],
) -> Result<Vec<(UserNid, String, Vec<u8>)>, StorageError> {
    let nids = numbers(users);
    let rows = connection
        .query(PROFILES, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((UserNid(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?)))
        .collect()
}

/// A user's presence as it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceRecord {
    /// Whose.
    pub user_nid: UserNid,
    /// 0 offline, 1 unavailable, 2 online.
    pub state: i16,
    /// In milliseconds since the epoch; 0: not known.
    pub last_active: i64,
    /// The status message.
    pub status_msg: Option<String>,
    /// When it was set, in milliseconds since the epoch; 0: never.
    pub status_at: i64,
    /// When this was written, in milliseconds since the epoch.
    pub updated_at: i64,
}

/// The presence of those of the users of whom there is one.
///
/// # Errors
/// As [`Connection::query`].
pub async fn presence(
    connection: &Connection,
    users: &[UserNid],
) -> Result<Vec<PresenceRecord>, StorageError> {
    let nids = numbers(users);
    let rows = connection
        .query(PRESENCE, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    let decode = |row: &Row| {
        Ok(PresenceRecord {
            user_nid: UserNid(row.try_get(0)?),
            state: row.try_get(1)?,
            last_active: row.try_get(2)?,
            status_msg: row.try_get(3)?,
            status_at: row.try_get(4)?,
            updated_at: row.try_get(5)?,
        })
    };
    rows.iter().map(decode).collect()
}

/// A filter's body; `None` if the user has none of that id.
///
/// # Errors
/// As [`Connection::query`].
pub async fn filter(
    connection: &Connection,
    user: UserNid,
    filter_id: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    let params = [(&user.0 as _, Type::INT8), (&filter_id as _, Type::TEXT)];
    let row = connection.query_opt(FILTER, &params).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Those of the registration tokens that exist.
///
/// # Errors
/// As [`Connection::query`].
pub async fn registration_tokens(
    connection: &Connection,
    tokens: &[String],
) -> Result<HashMap<String, RegistrationTokenRecord>, StorageError> {
    let rows = connection
        .query(REGISTRATION_TOKENS, &[(&tokens, Type::TEXT_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| {
            let record = RegistrationTokenRecord {
                uses_allowed: row.try_get(1)?,
                completed: row.try_get(2)?,
                expires_at: row.try_get(3)?,
            };
            Ok((row.try_get(0)?, record))
        })
        .collect()
}

/// The jobs of some shards, oldest first, at most `limit`.
///
/// # Errors
/// As [`Connection::query`].
pub async fn jobs(
    primary: &Connection,
    shards: &[Shard],
    limit: i64,
) -> Result<Vec<JobRecord>, StorageError> {
    let shards: Vec<i16> = shards.iter().map(|shard| shard.number()).collect();
    let params = [(&shards as _, Type::INT2_ARRAY), (&limit as _, Type::INT8)];
    primary
        .query(JOBS, &params)
        .await?
        .iter()
        .map(decode_job)
        .collect()
}

/// Notes that a job is done up to and with room `done`; false if the job is gone.
///
/// # Errors
/// As [`Connection::query`].
pub async fn advance_job(
    primary: &Connection,
    shard: Shard,
    job_id: &[u8; 16],
    done: RoomNid,
) -> Result<bool, StorageError> {
    let id = job_id.as_slice();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&id as _, Type::BYTEA),
        (&done.0 as _, Type::INT8),
    ];
    Ok(primary.execute(ADVANCE_JOB, &params).await? > 0)
}

/// Removes a job that is done.
///
/// # Errors
/// As [`Connection::query`].
pub async fn end_job(
    primary: &Connection,
    shard: Shard,
    job_id: &[u8; 16],
) -> Result<(), StorageError> {
    let id = job_id.as_slice();
    let params = [(&shard.number() as _, Type::INT2), (&id as _, Type::BYTEA)];
    primary.execute(END_JOB, &params).await?;
    Ok(())
}

/// Removes the user's jobs of some kinds that are older than this one, which makes them needless.
///
/// # Errors
/// As [`Connection::query`].
pub async fn end_superseded_jobs(
    primary: &Connection,
    job: &JobRecord,
    kinds: &[i16],
) -> Result<u64, StorageError> {
    let id = job.job_id.as_slice();
    let params = [
        (&job.shard.number() as _, Type::INT2),
        (&job.user_nid.0 as _, Type::INT8),
        (&kinds as _, Type::INT2_ARRAY),
        (&id as _, Type::BYTEA),
    ];
    primary.execute(END_SUPERSEDED_JOBS, &params).await
}

fn numbers(users: &[UserNid]) -> Vec<i64> {
    users.iter().map(|nid| nid.0).collect()
}

fn decode_job(row: &Row) -> Result<JobRecord, StorageError> {
    let number: i16 = row.try_get(0)?;
    let id: &[u8] = row.try_get(1)?;
    Ok(JobRecord {
        shard: Shard::new(i64::from(number))
            .ok_or_else(|| StorageError::inconsistent(format!("jobs.shard {number}")))?,
        job_id: id
            .try_into()
            .map_err(|_not_16| StorageError::inconsistent("jobs.job_id: not 16 bytes"))?,
        user_nid: UserNid(row.try_get(2)?),
        user_id: row.try_get(3)?,
        kind: row.try_get(4)?,
        done: RoomNid(row.try_get(5)?),
        created_at: row.try_get(6)?,
        body: row.try_get(7)?,
    })
}
