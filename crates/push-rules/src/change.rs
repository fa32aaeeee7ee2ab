//! Changes that a client makes, applied to the rules as they are (client-server API, "Push Rules: API").

use ganglion_model::MatrixError;
use ruma::push::{
    Action, InsertPushRuleError, NewConditionalPushRule, NewPatternedPushRule, NewPushRule,
    NewSimplePushRule, PushCondition, RemovePushRuleError, RuleKind, Ruleset,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Rules of one user, all kinds together, as stored JSON.
pub const MAX_BYTES: usize = 256 * 1024;
const MAX_ID_BYTES: usize = 255;
const MAX_ACTIONS: usize = 16;
const MAX_CONDITIONS: usize = 16;
/// Patterns are matched against every message.
const MAX_PATTERN_BYTES: usize = 512;
/// They mean nothing (client-server API, "Historical Actions").
const HISTORICAL: [&str; 2] = ["dont_notify", "coalesce"];

/// One change of one rule.
#[derive(Debug, Clone, Copy)]
pub enum Change<'c> {
    /// Adds a rule, or replaces what it says.
    Put {
        /// The JSON that the client sent: `actions`, and by kind `conditions` or `pattern`.
        body: &'c [u8],
        /// Becomes the next more important rule than this one.
        before: Option<&'c str>,
        /// Becomes the next less important rule than this one.
        after: Option<&'c str>,
    },
    /// Removes a rule of the user's own.
    Delete,
    /// Turns a rule on or off.
    Enable(bool),
    /// Replaces what a rule does: a JSON list of actions.
    Actions(&'c [u8]),
}

#[derive(Deserialize)]
struct Body {
    actions: Vec<Value>,
    #[serde(default)]
    conditions: Vec<Value>,
    pattern: Option<String>,
}

/// Applies a change to `rules`; one that is refused leaves them in an undefined state.
///
/// # Errors
/// `M_NOT_FOUND` for a rule that is not there; 400 for a rule, position or action that cannot be:
/// `M_INVALID_PARAM`, `M_BAD_JSON`, or `M_UNKNOWN` where `before` or `after` is not there.
pub fn apply(
    rules: &mut Ruleset,
    (kind, rule_id): (&RuleKind, &str),
    change: Change<'_>,
) -> Result<(), MatrixError> {
    let missing = || MatrixError::not_found("there is no such push rule");
    match change {
        Change::Put {
            body,
            before,
            after,
        } => put(rules, (kind, rule_id), body, (before, after)),
        Change::Delete => rules
            .remove(kind.clone(), rule_id)
            .map_err(|error| match error {
                RemovePushRuleError::ServerDefault => {
                    MatrixError::invalid_param("rules of the server cannot be removed")
                }
                _ => missing(),
            }),
        Change::Enable(enabled) => rules
            .set_enabled(kind.clone(), rule_id, enabled)
            .map_err(|_not_found| missing()),
        Change::Actions(json) => {
            // What is not there is not there, whatever should be done with it.
            if rules.get(kind.clone(), rule_id).is_none() {
                return Err(missing());
            }
            let actions = actions(parse(json)?)?;
            rules
                .set_actions(kind.clone(), rule_id, actions)
                .map_err(|_not_found| missing())
        }
    }
}

fn put(
    rules: &mut Ruleset,
    (kind, rule_id): (&RuleKind, &str),
    body: &[u8],
    (before, after): (Option<&str>, Option<&str>),
) -> Result<(), MatrixError> {
    let rule = new_rule(kind, rule_id, body)?;
    let there = rules
        .get(kind.clone(), rule_id)
        .map(|rule| (rule.enabled(), rule.is_server_default()));
    if matches!(there, Some((_, true))) {
        return Err(MatrixError::invalid_param("this is a rule of the server"));
    }
    if before == Some(rule_id) || after == Some(rule_id) {
        let message = "a rule has no place relative to itself";
        return Err(MatrixError::new(400, "M_UNKNOWN", message));
    }
    // A rule that moves is taken out first: the places of the others are then those it goes between.
    let moves = before.is_some() || after.is_some();
    if moves && there.is_some() {
        rules
            .remove(kind.clone(), rule_id)
            .map_err(|_not_there| MatrixError::internal())?;
    }
    rules.insert(rule, after, before).map_err(refusal)?;
    if let Some((enabled, _)) = there {
        rules
            .set_enabled(kind.clone(), rule_id, enabled)
            .map_err(|_not_there| MatrixError::internal())?;
    }
    Ok(())
}

fn new_rule(kind: &RuleKind, rule_id: &str, body: &[u8]) -> Result<NewPushRule, MatrixError> {
    if rule_id.is_empty() || rule_id.len() > MAX_ID_BYTES {
        return Err(MatrixError::invalid_param(
            "a rule id has 1 to 255 characters",
        ));
    }
    let body: Body = parse(body)?;
    let actions = actions(body.actions)?;
    let id = rule_id.to_owned();
    Ok(match kind {
        RuleKind::Override => NewPushRule::Override(NewConditionalPushRule::new(
            id,
            conditions(body.conditions)?,
            actions,
        )),
        RuleKind::Underride => NewPushRule::Underride(NewConditionalPushRule::new(
            id,
            conditions(body.conditions)?,
            actions,
        )),
        RuleKind::Content => {
            let pattern = body.pattern.ok_or_else(|| {
                MatrixError::new(400, "M_MISSING_PARAM", "a content rule needs a pattern")
            })?;
            check_pattern(&pattern)?;
            NewPushRule::Content(NewPatternedPushRule::new(id, pattern, actions))
        }
        RuleKind::Room => {
            let room = ruma::RoomId::parse(&id)
                .map_err(|_invalid| MatrixError::invalid_param("a room rule's id is a room id"))?;
            NewPushRule::Room(NewSimplePushRule::new(room, actions))
        }
        RuleKind::Sender => {
            let user = ruma::UserId::parse(&id).map_err(|_invalid| {
                MatrixError::invalid_param("a sender rule's id is a user id")
            })?;
            NewPushRule::Sender(NewSimplePushRule::new(user, actions))
        }
        _ => return Err(MatrixError::invalid_param("not a kind of push rule")),
    })
}

/// Unknown ones are kept, and match nothing.
fn conditions(given: Vec<Value>) -> Result<Vec<PushCondition>, MatrixError> {
    if given.len() > MAX_CONDITIONS {
        return Err(MatrixError::invalid_param("too many conditions"));
    }
    given
        .into_iter()
        .map(|condition| {
            let condition = from_value(condition)?;
            if let PushCondition::EventMatch(data) = &condition {
                check_pattern(&data.pattern)?;
            }
            Ok(condition)
        })
        .collect()
}

fn actions(given: Vec<Value>) -> Result<Vec<Action>, MatrixError> {
    if given.len() > MAX_ACTIONS {
        return Err(MatrixError::invalid_param("too many actions"));
    }
    given
        .into_iter()
        .filter(|action| !HISTORICAL.iter().any(|name| action == name))
        .map(|action| match from_value(action)? {
            known @ (Action::Notify | Action::SetTweak(_)) => Ok(known),
            _ => Err(MatrixError::invalid_param("not an action")),
        })
        .collect()
}

fn check_pattern(pattern: &str) -> Result<(), MatrixError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(MatrixError::invalid_param("the pattern is too long"));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, MatrixError> {
    serde_json::from_slice(json).map_err(|error| MatrixError::bad_json(error.to_string()))
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, MatrixError> {
    serde_json::from_value(value).map_err(|error| MatrixError::bad_json(error.to_string()))
}

fn refusal(error: InsertPushRuleError) -> MatrixError {
    match error {
        InsertPushRuleError::UnknownRuleId | InsertPushRuleError::BeforeHigherThanAfter => {
            MatrixError::new(400, "M_UNKNOWN", error.to_string())
        }
        _ => MatrixError::invalid_param(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
