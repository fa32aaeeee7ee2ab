//! `ganglion scale`

use anyhow::bail;
use clap::Args;
use ganglion_launcher::{Request, Role, ask};

use crate::commands::{Folder, show};

/// Returns when the new instances are ready, or those that are too many have handed over.
#[derive(Args)]
pub(crate) struct Scale {
    /// Such as client-reader
    role: Role,
    /// How many of it there shall be
    count: usize,
    #[command(flatten)]
    folder: Folder,
}

impl Scale {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let request = Request::Scale {
            role: self.role,
            count: self.count,
        };
        let reply = ask(&self.folder.path(), &request).await?;
        show(&reply.members);
        match reply.error {
            Some(error) => bail!(error),
            None => Ok(()),
        }
    }
}
