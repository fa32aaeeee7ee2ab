//! What the server's administration does with an account, and what is reported to it.

use ganglion_cluster::owner::Outcome;
use ganglion_model::{CommandId, MatrixError, UserNid};
use ganglion_proto::persister::user_command::Command;
use ganglion_proto::persister::{Report, SetStanding};
use ganglion_storage::accounts::{ADMINISTRATOR, PERSON, Standing};
use ganglion_storage::batch::{Ends, ReportRow, StandingRow};

use super::Draft;

/// The longest reason of a report that is kept, in bytes.
const MAX_REASON: usize = 8 * 1024;
/// The longest identifier (appendices, "Common Identifier Format").
const MAX_ID: usize = 255;

impl Draft {
    /// Whether anything is done for the user now.
    pub(super) fn may_be_served(
        &self,
        user: UserNid,
        command: &Command,
    ) -> Result<(), MatrixError> {
        let standing = self.facts.accounts.get(&user);
        if matches!(command, Command::SetStanding(_)) {
            return match standing {
                Some(standing) if !standing.deactivated => Ok(()),
                _ => Err(MatrixError::not_found("there is no such account")),
            };
        }
        // A logout may be the first use of a refreshed token.
        let ends = matches!(command, Command::Logout(_) | Command::UseToken(_));
        match standing {
            None => Err(MatrixError::forbidden("there is no such account")),
            Some(standing) if standing.deactivated => {
                let message = "this account is deactivated";
                Err(MatrixError::new(403, "M_USER_DEACTIVATED", message))
            }
            Some(standing) if standing.locked && !ends => Err(MatrixError::user_locked()),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn set_standing(
        &mut self,
        user: UserNid,
        set: &SetStanding,
    ) -> Result<Outcome, MatrixError> {
        let before = self.facts.accounts.get(&user).copied().unwrap_or_default();
        if set.by_administrator && before.kind == ADMINISTRATOR {
            let message = "this account is an administrator's";
            return Err(MatrixError::forbidden(message));
        }
        let kind = match (before.kind, set.administrator) {
            (PERSON | ADMINISTRATOR, Some(true)) => ADMINISTRATOR,
            (ADMINISTRATOR, Some(false)) => PERSON,
            (kind, None | Some(false)) => kind,
            (_, Some(true)) => {
                let message = "only a person's account becomes an administrator's";
                return Err(MatrixError::invalid_param(message));
            }
        };
        let after = Standing {
            kind,
            locked: set.locked.unwrap_or(before.locked),
            suspended: set.suspended.unwrap_or(before.suspended),
            ..before
        };
        if after == before {
            return Ok(Outcome::Unchanged(self.outcome(String::new())));
        }
        self.facts.accounts.insert(user, after);
        self.rows.standings.retain(|row| row.user_nid != user);
        self.rows.standings.push(StandingRow {
            user_nid: user,
            standing: after,
        });
        // What instances remember of a token includes how its account stands.
        self.revoke(user, None, Ends::Nothing);
        Ok(self.done(String::new()))
    }

    pub(super) fn report(
        &mut self,
        id: CommandId,
        user: UserNid,
        report: &Report,
    ) -> Result<Outcome, MatrixError> {
        let ids = [&report.room_id, &report.event_id, &report.reported_user];
        let ids = ids.into_iter().flatten();
        let mut texts = ids.clone().chain([&report.reason]);
        if ids.clone().next().is_none() || ids.into_iter().any(|id| id.len() > MAX_ID) {
            return Err(MatrixError::invalid_param("the report names nothing"));
        }
        if report.reason.len() > MAX_REASON {
            let message = format!("the reason is longer than {MAX_REASON} bytes");
            return Err(MatrixError::too_large(message));
        }
        if texts.any(|text| text.contains('\0')) {
            return Err(MatrixError::invalid_param("a NUL cannot be stored"));
        }
        self.rows.reports.push(ReportRow {
            report_id: *id.as_bytes(),
            reporter: user,
            room_id: report.room_id.clone(),
            event_id: report.event_id.clone(),
            user_id: report.reported_user.clone(),
            reason: report.reason.clone(),
            at: self.now_ms,
        });
        Ok(self.done(String::new()))
    }
}
