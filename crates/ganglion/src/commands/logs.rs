//! `ganglion logs`

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::commands::Folder;

#[derive(Args)]
pub(crate) struct Logs {
    /// Such as client-reader-1 or primary [default: all]
    name: Option<String>,
    /// How many lines of the past
    #[arg(long, short = 'n', default_value_t = 50)]
    lines: usize,
    #[command(flatten)]
    folder: Folder,
}

impl Logs {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let folder = self.folder.path().join("logs");
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("no logs in {}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| match &self.name {
                Some(name) => path.file_stem().is_some_and(|stem| stem == name.as_str()),
                None => path.extension().is_some_and(|ending| ending == "log"),
            })
            .collect();
        files.sort();
        if files.is_empty() {
            bail!("no such log in {}", folder.display());
        }
        let tail = Command::new("tail")
            .arg(format!("--lines={}", self.lines))
            .arg("-F")
            .args(files)
            .exec();
        Err(tail).context("run tail")
    }
}
