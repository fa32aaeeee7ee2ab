//! Devices and their tokens.
//!
//! A client that refreshes holds a pair of tokens. A refresh makes the next pair; the first use of
//! one of its tokens puts it in the place of the one before, whose tokens are then refused.

use bytes::Bytes;
use ganglion_cluster::owner::Outcome;
use ganglion_event_rules::content::is_storable_key;
use ganglion_model::{MatrixError, UserNid};
use ganglion_proto::log;
use ganglion_proto::persister::{NewDevice, Refresh, RefreshToken, UpdateDevice};
use ganglion_storage::accounts::TokenStage;
use ganglion_storage::batch::{
    DeviceNameRow, DeviceRow, Ends, RefreshTokenRow, RevocationRow, TokenRow,
};
use ganglion_storage::log::kind;

use super::Draft;
use crate::users::facts::Facts;

/// The tokens for one device.
pub(super) struct Pair {
    access: [u8; 32],
    /// With how long the access token lives.
    refresh: Option<([u8; 32], i64)>,
}

impl Draft {
    pub(super) fn log_in(&mut self, user: UserNid, (device, pair): (&NewDevice, Pair)) {
        let key = (user, device.device_id.clone());
        if self.facts.devices.contains(&key) {
            self.end_tokens(user, Some(&device.device_id), Ends::Tokens);
        } else {
            self.rows.devices.push(DeviceRow {
                user_nid: user,
                device_id: device.device_id.clone(),
                display_name: device.display_name.clone(),
                created_at: self.now_ms,
            });
            self.facts.devices.insert(key);
        }
        self.add_tokens(user, &device.device_id, &pair, TokenStage::Current);
    }

    fn add_tokens(&mut self, user: UserNid, device_id: &str, pair: &Pair, stage: TokenStage) {
        let created_at = self.now_ms;
        self.rows.tokens.push(TokenRow {
            token_hash: pair.access,
            user_nid: user,
            device_id: device_id.to_owned(),
            created_at,
            expires_at: pair.refresh.map(|(_, ms)| created_at.saturating_add(ms)),
            stage,
        });
        if let Some((token_hash, _)) = pair.refresh {
            self.rows.refresh_tokens.push(RefreshTokenRow {
                token_hash,
                user_nid: user,
                device_id: device_id.to_owned(),
                created_at,
                stage,
            });
        }
    }

    /// Ends the tokens of one device, or of all. The row ends those from before this batch, so those
    /// of this batch must not be made at all.
    pub(super) fn end_tokens(&mut self, user: UserNid, device: Option<&str>, ends: Ends) {
        let gone = |owner: UserNid, id: &str| owner == user && device.is_none_or(|d| d == id);
        let rows = &mut self.rows;
        rows.tokens
            .retain(|token| !gone(token.user_nid, &token.device_id));
        rows.refresh_tokens
            .retain(|token| !gone(token.user_nid, &token.device_id));
        for known in [&mut self.facts.access, &mut self.facts.refresh] {
            known.retain(|_, place| !gone(place.user_nid, &place.device_id));
        }
        if ends == Ends::Devices {
            rows.devices
                .retain(|row| !gone(row.user_nid, &row.device_id));
            rows.device_names
                .retain(|row| !gone(row.user_nid, &row.device_id));
            self.facts.devices.retain(|(owner, id)| !gone(*owner, id));
        }
        if device.is_none() {
            self.end_login_tokens(user);
        }
        self.revoke(user, device.map(str::to_owned), ends);
    }

    /// Tells every instance to read the tokens again.
    pub(super) fn revoke(&mut self, user: UserNid, device_id: Option<String>, ends: Ends) {
        let entry = log::TokenRevocation {
            user_nid: user.0,
            device_id: device_id.clone(),
        };
        let pos = self.log(kind::TOKEN_REVOCATION, &entry);
        self.rows.revocations.push(RevocationRow {
            pos,
            user_nid: user,
            device_id,
            ends,
        });
    }

    pub(super) fn update_device(
        &mut self,
        user: UserNid,
        update: &UpdateDevice,
    ) -> Result<Outcome, MatrixError> {
        let key = (user, update.device_id.clone());
        if !self.facts.devices.contains(&key) {
            return Err(MatrixError::not_found("there is no such device"));
        }
        let Some(name) = &update.display_name else {
            return Ok(Outcome::Unchanged(self.outcome(String::new())));
        };
        if !is_storable_key(name) {
            return Err(MatrixError::invalid_param("a device's name is too long"));
        }
        let is_it = |owner: UserNid, id: &str| owner == user && id == update.device_id;
        let mut made = self.rows.devices.iter_mut();
        if let Some(made) = made.find(|row| is_it(row.user_nid, &row.device_id)) {
            made.display_name = Some(name.clone());
            return Ok(self.done(String::new()));
        }
        let names = &mut self.rows.device_names;
        names.retain(|row| !is_it(row.user_nid, &row.device_id));
        names.push(DeviceNameRow {
            user_nid: user,
            device_id: update.device_id.clone(),
            display_name: name.clone(),
        });
        Ok(self.done(String::new()))
    }

    pub(super) fn delete_devices(&mut self, user: UserNid, device_ids: &[String]) -> Outcome {
        let before = self.next;
        for id in device_ids {
            if self.facts.devices.contains(&(user, id.clone())) {
                self.end_tokens(user, Some(id), Ends::Devices);
            }
        }
        if self.next == before {
            return Outcome::Unchanged(self.outcome(String::new()));
        }
        self.done(String::new())
    }

    pub(super) fn refresh(
        &mut self,
        user: UserNid,
        refresh: &Refresh,
    ) -> Result<Outcome, MatrixError> {
        let pair = checked_pair(&refresh.token_hash, refresh.next.as_ref())?;
        let held = hash(&refresh.refresh_hash)?;
        let place = self.facts.refresh.get(&held);
        let place = place
            .filter(|place| place.user_nid == user)
            .cloned()
            .ok_or_else(|| unknown(false))?;
        let device = place.device_id;
        match place.stage {
            TokenStage::Past => return Err(unknown(true)),
            TokenStage::Next => self.advance(user, &device),
            TokenStage::Current => {}
        }
        self.replace_next(user, &device);
        self.add_tokens(user, &device, &pair, TokenStage::Next);
        Ok(self.done(String::new()))
    }

    pub(super) fn use_token(
        &mut self,
        user: UserNid,
        token_hash: &Bytes,
    ) -> Result<Outcome, MatrixError> {
        let place = self.facts.access.get(&hash(token_hash)?);
        let place = place
            .filter(|place| place.user_nid == user)
            .cloned()
            .ok_or_else(|| unknown(false))?;
        match place.stage {
            TokenStage::Past => Err(unknown(true)),
            TokenStage::Current => Ok(Outcome::Unchanged(self.outcome(String::new()))),
            TokenStage::Next => {
                self.advance(user, &place.device_id);
                Ok(self.done(String::new()))
            }
        }
    }

    /// The next pair of a device is used: the one before it is past.
    fn advance(&mut self, user: UserNid, device: &str) {
        on_device(&mut self.facts, user, device, |stage| match stage {
            TokenStage::Past => None,
            TokenStage::Current => Some(TokenStage::Past),
            TokenStage::Next => Some(TokenStage::Current),
        });
        self.revoke(user, Some(device.to_owned()), Ends::Current);
    }

    /// Nobody has used the next pair of a device, and another takes its place.
    fn replace_next(&mut self, user: UserNid, device: &str) {
        on_device(&mut self.facts, user, device, |stage| match stage {
            TokenStage::Next => Some(TokenStage::Past),
            other => Some(other),
        });
        let is_it = |owner: UserNid, id: &str, stage: TokenStage| {
            owner == user && id == device && stage == TokenStage::Next
        };
        let rows = &mut self.rows;
        for row in &mut rows.tokens {
            if is_it(row.user_nid, &row.device_id, row.stage) {
                row.stage = TokenStage::Past;
                row.expires_at = Some(0);
            }
        }
        for row in &mut rows.refresh_tokens {
            if is_it(row.user_nid, &row.device_id, row.stage) {
                row.stage = TokenStage::Past;
            }
        }
        let key = (user, device.to_owned());
        if !rows.replaced_next.contains(&key) {
            rows.replaced_next.push(key);
        }
    }
}

/// Changes or, with `None`, forgets what is known of the tokens of one device.
fn on_device(
    facts: &mut Facts,
    user: UserNid,
    device: &str,
    change: impl Fn(TokenStage) -> Option<TokenStage>,
) {
    for known in [&mut facts.access, &mut facts.refresh] {
        known.retain(|_, place| {
            if place.user_nid != user || place.device_id != device {
                return true;
            }
            let changed = change(place.stage);
            place.stage = changed.unwrap_or(place.stage);
            changed.is_some()
        });
    }
}

pub(super) fn checked_device(
    device: Option<&NewDevice>,
) -> Result<(&NewDevice, Pair), MatrixError> {
    let device = device.ok_or_else(|| MatrixError::invalid_param("a login needs a device"))?;
    let display_name = device.display_name.as_deref().unwrap_or_default();
    if device.device_id.is_empty()
        || !is_storable_key(&device.device_id)
        || !is_storable_key(display_name)
    {
        let message = "a device id or a device's name is too long or empty";
        return Err(MatrixError::invalid_param(message));
    }
    let pair = checked_pair(&device.token_hash, device.refresh.as_ref())?;
    Ok((device, pair))
}

fn checked_pair(access: &Bytes, refresh: Option<&RefreshToken>) -> Result<Pair, MatrixError> {
    let refresh = match refresh {
        Some(token) => Some((hash(&token.token_hash)?, token.lifetime_ms)),
        None => None,
    };
    Ok(Pair {
        access: hash(access)?,
        refresh,
    })
}

pub(super) fn hash(bytes: &Bytes) -> Result<[u8; 32], MatrixError> {
    let hash = bytes.as_ref().try_into();
    hash.map_err(|_not_32| MatrixError::internal())
}

/// `replaced`: the client's own doing, by a refresh; its device is still there.
fn unknown(replaced: bool) -> MatrixError {
    MatrixError {
        extra: Some(format!(r#"{{"soft_logout":{replaced}}}"#)),
        ..MatrixError::new(401, "M_UNKNOWN_TOKEN", "the token is not known")
    }
}
