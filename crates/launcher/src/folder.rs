//! The cluster's folder: what lies where, and that only one launcher uses it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use crate::files;
use crate::role::Role;
use crate::store_user::StoreUser;

/// Unix socket paths end at 107 bytes, and HAProxy needs some of them for a temporary name.
const LONGEST_SOCKET_FOLDER: usize = 70;

/// The folder, locked while this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    sockets: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes and locks it.
    ///
    /// # Errors
    /// Another launcher uses it, or its place will not do.
    pub(crate) fn open(root: &Path, user: Option<&StoreUser>) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("make the folder {}", root.display()))?;
        let root = root.canonicalize()?;
        if let Some(user) = user {
            user.check_reach(&root)?;
        }
        // Passing through is all that the stores' user needs.
        files::folder(&root, if user.is_some() { 0o711 } else { 0o700 })?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(root.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!(
                "{} is in use by another launcher; `ganglion down` ends it",
                root.display()
            );
        }
        for name in ["config", "secrets", "addresses", "pids", "logs"] {
            files::folder(&root.join(name), 0o700)?;
        }
        for name in ["postgres", "redis", "pgbouncer"] {
            let path = root.join(name);
            files::folder(&path, 0o700)?;
            if let Some(user) = user {
                user.own(&path)?;
            }
        }
        let sockets = socket_folder(&root)?;
        Ok(Self {
            root,
            sockets,
            _lock: lock,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn config(&self, role: Role) -> PathBuf {
        self.root.join(format!("config/{role}.toml"))
    }

    pub(crate) fn haproxy_config(&self) -> PathBuf {
        self.root.join("config/haproxy.cfg")
    }

    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.root.join("secrets").join(name)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join(format!("logs/{name}.log"))
    }

    pub(crate) fn pids(&self) -> PathBuf {
        self.root.join("pids")
    }

    pub(crate) fn address_file(&self, name: &str) -> PathBuf {
        self.root.join(format!("addresses/{name}.json"))
    }

    pub(crate) fn haproxy_socket(&self) -> PathBuf {
        self.sockets.join("haproxy.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.sockets.starts_with(&self.root) && fs::remove_dir_all(&self.sockets).is_err() {
            tracing::warn!(folder = %self.sockets.display(), "cannot be removed");
        }
    }
}

/// `run` in the folder; if its path is too long, a link to a short one that goes at the end.
fn socket_folder(root: &Path) -> anyhow::Result<PathBuf> {
    let run = root.join("run");
    let linked = fs::symlink_metadata(&run).is_ok_and(|about| about.is_symlink());
    if linked {
        // A launcher that was killed could not remove it.
        let old = fs::read_link(&run)?;
        if old.starts_with("/tmp") && old.is_dir() {
            fs::remove_dir_all(&old)?;
        }
        files::remove(&run)?;
    }
    if run.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        files::folder(&run, 0o700)?;
        return Ok(run);
    }
    let short = PathBuf::from(format!("/tmp/ganglion-{:08x}", rand::random::<u32>()));
    files::folder(&short, 0o700)?;
    if run.is_dir() {
        fs::remove_dir_all(&run)?;
    }
    std::os::unix::fs::symlink(&short, &run)?;
    Ok(short)
}

/// Where `ganglion down` and its like find the launcher of the cluster in `root`.
pub(crate) fn control_socket(root: &Path) -> anyhow::Result<PathBuf> {
    let run = root.join("run").canonicalize();
    let run = run.with_context(|| format!("no cluster was started in {}", root.display()))?;
    Ok(run.join("control.sock"))
}

/// Whether a launcher uses this folder now.
#[must_use]
pub fn in_use(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// The folder if none is named: `.ganglion` here; for root in a place that ordinary users cannot
/// reach, such as its home, `/var/lib/ganglion`, since PostgreSQL does not run as root.
#[must_use]
pub fn default_folder() -> PathBuf {
    let here = PathBuf::from(".ganglion");
    if !Uid::effective().is_root() {
        return here;
    }
    let reachable = || -> anyhow::Result<()> {
        let place = std::env::current_dir()?.join(&here);
        StoreUser::needed()?.map_or(Ok(()), |user| user.check_reach(&place))
    };
    if reachable().is_ok() {
        here
    } else {
        PathBuf::from("/var/lib/ganglion")
    }
}
