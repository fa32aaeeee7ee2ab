//! User names: the grammar of new ones, and how a login names a user.

use ganglion_model::MatrixError;
use rand::Rng as _;
use ruma::{OwnedUserId, ServerName, UserId};

/// Letters and digits of a name that this server chooses.
const RANDOM_LENGTH: usize = 12;

/// The user id that a registration asks for. Capital letters are made small.
///
/// # Errors
/// `M_INVALID_USERNAME` if the name is not in the grammar of new user ids (appendices, "User
/// identifiers"), or the id would be longer than 255 bytes.
pub fn new_user_id(username: &str, server_name: &ServerName) -> Result<OwnedUserId, MatrixError> {
    let localpart = username.to_ascii_lowercase();
    let in_grammar = |c: char| {
        c.is_ascii_lowercase()
            || c.is_ascii_digit()
            || matches!(c, '-' | '.' | '=' | '_' | '/' | '+')
    };
    if localpart.is_empty() || !localpart.chars().all(in_grammar) {
        return Err(invalid("a user name holds only a-z, 0-9 and -.=_/+"));
    }
    UserId::parse(format!("@{localpart}:{server_name}"))
        .map_err(|_too_long| invalid("the user name is too long"))
}

/// A user id that nobody asked for.
///
/// # Errors
/// Never with a server name that is one.
pub fn random_user_id(server_name: &ServerName) -> Result<OwnedUserId, MatrixError> {
    new_user_id(
        &random_text(b"abcdefghijklmnopqrstuvwxyz0123456789", RANDOM_LENGTH),
        server_name,
    )
}

/// The user that a login names, by localpart or whole id; `None` if it cannot be one of ours.
#[must_use]
pub fn login_user_id(name: &str, server_name: &ServerName) -> Option<OwnedUserId> {
    let localpart = match name.strip_prefix('@') {
        Some(rest) => {
            let (localpart, server) = rest.split_once(':')?;
            if server != server_name.as_str() {
                return None;
            }
            localpart
        }
        None => name,
    };
    new_user_id(localpart, server_name).ok()
}

/// A device id for a client that names none.
#[must_use]
pub fn random_device_id() -> String {
    random_text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)
}

fn random_text(alphabet: &[u8], length: usize) -> String {
    let mut random = rand::rng();
    let mut letter = || {
        alphabet
            .get(random.random_range(0..alphabet.len()))
            .copied()
    };
    (0..length)
        .filter_map(|_| letter().map(char::from))
        .collect()
}

fn invalid(message: &str) -> MatrixError {
    MatrixError::new(400, "M_INVALID_USERNAME", message)
}

#[cfg(test)]
mod tests;
