//! As root, PostgreSQL and PgBouncer refuse to run: they get an ordinary user.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::unistd::{Uid, User};

/// The user that the stores run as when the launcher runs as root.
#[derive(Debug, Clone)]
pub(crate) struct StoreUser {
    name: String,
    uid: u32,
    gid: u32,
}

impl StoreUser {
    /// `None` for an ordinary user, whose stores run as itself.
    pub(crate) fn needed() -> anyhow::Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).context("look up a user")? {
                let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
                return Ok(Some(Self {
                    name: user.name,
                    uid,
                    gid,
                }));
            }
        }
        bail!(
            "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as"
        )
    }

    /// The arguments of `setpriv` that become this user.
    pub(crate) fn arguments(&self) -> [String; 3] {
        [
            format!("--reuid={}", self.uid),
            format!("--regid={}", self.gid),
            "--init-groups".to_owned(),
        ]
    }

    /// Gives it a file or a folder, not what is inside.
    pub(crate) fn own(&self, path: &Path) -> anyhow::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("give {} to user {}", path.display(), self.name))
    }

    /// # Errors
    /// Names the parent of `folder` that this user cannot pass through.
    pub(crate) fn check_reach(&self, folder: &Path) -> anyhow::Result<()> {
        for parent in folder.ancestors().skip(1) {
            let about = parent
                .metadata()
                .with_context(|| format!("look at {}", parent.display()))?;
            let may_pass = if about.uid() == self.uid {
                0o100
            } else {
                0o001
            };
            if about.mode() & may_pass == 0 {
                bail!(
                    "PostgreSQL does not run as root, and user {} cannot pass through {} (mode {:o}): \
                     `chmod o+x {}`, or name another --folder",
                    self.name,
                    parent.display(),
                    about.mode() & 0o777,
                    parent.display(),
                );
            }
        }
        Ok(())
    }
}
