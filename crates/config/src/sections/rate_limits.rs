//! `[rate_limits]`

use serde::{Deserialize, Serialize};

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many at once, after a rest.
    pub burst: u32,
    /// How many each second, for ever.
    pub per_second: f64,
}

/// How often clients may do what, counted over all instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Without it nothing is limited here.
    pub enabled: bool,
    /// Whole ids of users who are not limited.
    pub exempt_users: Vec<String>,
    /// Requests without an access token, but logins and registrations; per client address.
    pub open: Rate,
    /// Reads; per user.
    pub read: Rate,
    /// Writes that have no rate of their own; per user.
    pub write: Rate,
    /// Typing notices, receipts and presence; per user.
    pub ephemeral: Rate,
    /// Events sent; per user.
    pub send: Rate,
    /// Events sent; per room.
    pub send_in_room: Rate,
    /// Sends beyond `send` that are looked up, as they may be repetitions; per user.
    pub repeat: Rate,
    /// Joins and knocks; per user.
    pub join: Rate,
    /// Joins and knocks; per room.
    pub join_in_room: Rate,
    /// Invites; per user.
    pub invite: Rate,
    /// Invites; per room.
    pub invite_in_room: Rate,
    /// Rooms made or upgraded; per user.
    pub create_room: Rate,
    /// Reports; per user.
    pub report: Rate,
    /// Tokens made for the login of another device; per user.
    pub login_token: Rate,
    /// Logins; per client address.
    pub login: Rate,
    /// Logins with a password, right or wrong; per account and client address.
    pub login_of_account: Rate,
    /// Logins with a wrong password; per account and client address.
    pub failed_login_of_account: Rate,
    /// Logins with a wrong password; per account, from all addresses together.
    pub failed_login_of_account_anywhere: Rate,
    /// Checks of a wrong password of somebody who is logged in; per device.
    pub failed_password_of_device: Rate,
    /// Requests to register, of which an account takes two or more; per client address.
    pub register: Rate,
}

impl RateLimits {
    /// Every rate by its key.
    #[must_use]
    pub fn rates(&self) -> [(&'static str, Rate); 20] {
        [
            ("open", self.open),
            ("read", self.read),
            ("write", self.write),
            ("ephemeral", self.ephemeral),
            ("send", self.send),
            ("send_in_room", self.send_in_room),
            ("repeat", self.repeat),
            ("join", self.join),
            ("join_in_room", self.join_in_room),
            ("invite", self.invite),
            ("invite_in_room", self.invite_in_room),
            ("create_room", self.create_room),
            ("report", self.report),
            ("login_token", self.login_token),
            ("login", self.login),
            ("login_of_account", self.login_of_account),
            ("failed_login_of_account", self.failed_login_of_account),
            (
                "failed_login_of_account_anywhere",
                self.failed_login_of_account_anywhere,
            ),
            ("failed_password_of_device", self.failed_password_of_device),
            ("register", self.register),
        ]
    }

    /// One rate for everything.
    #[must_use]
    pub fn all_at(rate: Rate) -> Self {
        Self {
            enabled: true,
            exempt_users: Vec::new(),
            open: rate,
            read: rate,
            write: rate,
            ephemeral: rate,
            send: rate,
            send_in_room: rate,
            repeat: rate,
            join: rate,
            join_in_room: rate,
            invite: rate,
            invite_in_room: rate,
            create_room: rate,
            report: rate,
            login_token: rate,
            login: rate,
            login_of_account: rate,
            failed_login_of_account: rate,
            failed_login_of_account_anywhere: rate,
            failed_password_of_device: rate,
            register: rate,
        }
    }
}

const fn rate(burst: u32, per_second: f64) -> Rate {
    Rate { burst, per_second }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            exempt_users: Vec::new(),
            open: rate(200, 20.0),
            read: rate(200, 20.0),
            write: rate(100, 10.0),
            ephemeral: rate(200, 20.0),
            send: rate(100, 10.0),
            send_in_room: rate(1_000, 100.0),
            repeat: rate(200, 20.0),
            join: rate(50, 1.0),
            join_in_room: rate(500, 50.0),
            invite: rate(50, 0.5),
            invite_in_room: rate(200, 2.0),
            create_room: rate(20, 0.2),
            report: rate(20, 0.1),
            login_token: rate(5, 0.0167),
            login: rate(50, 1.0),
            login_of_account: rate(30, 0.5),
            failed_login_of_account: rate(10, 0.1),
            failed_login_of_account_anywhere: rate(1_000, 0.5),
            failed_password_of_device: rate(10, 0.1),
            register: rate(30, 0.5),
        }
    }
}
