//! `ganglion down`

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use ganglion_launcher::{Request, ask, in_use};

use crate::commands::Folder;

/// Returns when every process has ended.
#[derive(Args)]
pub(crate) struct Down {
    #[command(flatten)]
    folder: Folder,
}

impl Down {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let reply = ask(&folder, &Request::Down).await?;
        if let Some(error) = reply.error {
            bail!(error);
        }
        while in_use(&folder) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
