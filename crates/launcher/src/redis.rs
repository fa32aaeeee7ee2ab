//! Redis: without persistence, since nothing in it need survive.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::children::Recipe;
use crate::files;
use crate::folder::Folder;
use crate::store_user::StoreUser;

/// Writes its configuration; the password is to stand in no list of processes.
pub(crate) fn recipe(
    folder: &Folder,
    program: &Path,
    user: Option<&StoreUser>,
    port: u16,
    password: &str,
) -> anyhow::Result<Recipe> {
    let home = folder.root().join("redis");
    let config = home.join("redis.conf");
    let text = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir \"{}\"\n\
         save \"\"\nappendonly no\ndaemonize no\n",
        home.display(),
    );
    files::write(&config, text.as_bytes(), 0o600)?;
    if let Some(user) = user {
        user.own(&config)?;
    }
    Ok(Recipe {
        name: "redis".to_owned(),
        program: program.to_owned(),
        arguments: vec![config.into()],
        environment: Vec::new(),
        directory: PathBuf::from("/"),
        user: user.cloned(),
        death: "KILL",
        log: folder.log("redis"),
        remove_before: None,
    })
}

/// Whether it answers to this password.
pub(crate) async fn answers(address: SocketAddr, password: &str) -> bool {
    let ping = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream
            .write_all(format!("AUTH {password}\r\nPING\r\nQUIT\r\n").as_bytes())
            .await
            .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        String::from_utf8_lossy(&answer)
            .contains("+PONG")
            .then_some(())
    };
    tokio::time::timeout(Duration::from_secs(1), ping)
        .await
        .is_ok_and(|answer| answer.is_some())
}
