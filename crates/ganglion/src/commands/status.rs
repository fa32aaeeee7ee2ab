//! `ganglion status`

use clap::Args;
use ganglion_launcher::{Request, ask};

use crate::commands::{Folder, show};

#[derive(Args)]
pub(crate) struct Status {
    #[command(flatten)]
    folder: Folder,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        show(&ask(&self.folder.path(), &Request::Status).await?.members);
        Ok(())
    }
}
