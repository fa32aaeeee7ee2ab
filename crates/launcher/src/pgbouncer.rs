//! PgBouncer in transaction mode before the primary, for showing that the roles work through it.

use std::path::{Path, PathBuf};

use crate::children::Recipe;
use crate::files;
use crate::folder::Folder;
use crate::secrets::{SUPERUSER, Secrets};
use crate::store_user::StoreUser;

/// Writes its configuration and its list of users, who are those of the database.
pub(crate) fn recipe(
    folder: &Folder,
    program: &Path,
    user: Option<&StoreUser>,
    (port, primary): (u16, u16),
    secrets: &Secrets,
) -> anyhow::Result<Recipe> {
    let home = folder.root().join("pgbouncer");
    let (config, users) = (home.join("pgbouncer.ini"), home.join("users.txt"));
    let text = format!(
        "[databases]\nganglion = host=127.0.0.1 port={primary} dbname=ganglion\n\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
         max_client_conn = 2000\ndefault_pool_size = 40\n\
         ignore_startup_parameters = extra_float_digits\n",
        users.display(),
    );
    let lines = secrets
        .role_users()
        .chain([(SUPERUSER, secrets.superuser.as_str())]);
    let list: String = lines
        .map(|(name, word)| format!("\"{name}\" \"{word}\"\n"))
        .collect();
    for (path, text) in [(&config, text), (&users, list)] {
        files::write(path, text.as_bytes(), 0o600)?;
        if let Some(user) = user {
            user.own(path)?;
        }
    }
    Ok(Recipe {
        name: "pgbouncer".to_owned(),
        program: program.to_owned(),
        arguments: vec![config.into()],
        environment: Vec::new(),
        directory: PathBuf::from("/"),
        user: user.cloned(),
        death: "KILL",
        log: folder.log("pgbouncer"),
        remove_before: None,
    })
}
