//! Passwords and keys: made once, kept in the folder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::files;
use crate::folder::Folder;
use crate::role::Role;

/// The superuser of the databases.
pub(crate) const SUPERUSER: &str = "postgres";
/// Who the replica logs in as.
pub(crate) const REPLICATION_USER: &str = "replication";

/// What the stores ask for.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    pub(crate) redis: String,
    pub(crate) superuser: String,
    pub(crate) replication: String,
    roles: Vec<(Role, String)>,
}

impl Secrets {
    /// Reads them from the folder; makes what is missing.
    pub(crate) fn open(folder: &Folder) -> anyhow::Result<Self> {
        kept(folder, "server-secret", random_hex)?;
        kept(folder, "signing-key", signing_key_line)?;
        let password = |user: &str| kept(folder, &password_file(user), random_hex);
        let roles = Role::all()
            .iter()
            .map(|role| Ok((*role, password(role.database_user())?)));
        Ok(Self {
            redis: password("redis")?,
            superuser: password(SUPERUSER)?,
            replication: password(REPLICATION_USER)?,
            roles: roles.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The database users of the roles, with their passwords.
    pub(crate) fn role_users(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.roles
            .iter()
            .map(|(role, password)| (role.database_user(), password.as_str()))
    }
}

/// The name of the file with the password of a user of the database, or of Redis.
pub(crate) fn password_file(user: &str) -> String {
    format!("password-{user}")
}

/// A new signing key, as its file holds it: `ed25519 <version> <base64 seed>`.
#[must_use]
pub fn signing_key_line() -> String {
    // A version of its own, so that a new key is never taken for the one it replaces.
    let version: u16 = rand::random();
    let seed: [u8; 32] = rand::random();
    format!("ed25519 a_{version:04x} {}", STANDARD_NO_PAD.encode(seed))
}

fn random_hex() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kept(folder: &Folder, name: &str, make: impl Fn() -> String) -> anyhow::Result<String> {
    let path = folder.secret(name);
    if !path.exists() {
        files::write(&path, format!("{}\n", make()).as_bytes(), 0o600)?;
    }
    Ok(std::fs::read_to_string(&path)?.trim_end().to_owned())
}
