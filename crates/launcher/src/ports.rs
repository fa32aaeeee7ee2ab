//! Port numbers: chosen once, kept in the folder, never given to two clusters at once.
//!
//! They lie below the kernel's range for outgoing connections, in blocks that a cluster locks while
//! it lives: a port that is free now is then still free when its process binds it.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use crate::files;

const FIRST: u16 = 15_000;
const BLOCK: u16 = 50;
const BLOCKS: u16 = 340;

/// The ports of one cluster, by what has them.
#[derive(Debug)]
pub(crate) struct Ports {
    file: PathBuf,
    locks: PathBuf,
    blocks: BTreeMap<u16, File>,
    names: BTreeMap<String, u16>,
}

impl Ports {
    /// Takes up the ports of an earlier run, those that are still free.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        // Not the temporary folder of this process: all clusters of the machine must meet.
        let locks = PathBuf::from(format!("/tmp/ganglion-ports-{}", Uid::effective()));
        files::folder(&locks, 0o700)?;
        let file = folder.join("ports.json");
        let earlier: BTreeMap<String, u16> = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut ports = Self {
            file,
            locks,
            blocks: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        for (name, port) in earlier {
            if ports.hold(block_of(port))? && is_free(port) {
                ports.names.insert(name, port);
            }
        }
        Ok(ports)
    }

    /// The port of `name`: always the same one.
    ///
    /// # Errors
    /// No port is free, or the folder cannot be written.
    pub(crate) fn of(&mut self, name: &str) -> anyhow::Result<u16> {
        if let Some(port) = self.names.get(name) {
            return Ok(*port);
        }
        let port = self.free()?;
        self.names.insert(name.to_owned(), port);
        files::write(&self.file, &serde_json::to_vec_pretty(&self.names)?, 0o644)?;
        Ok(port)
    }

    /// The port of `name` that the caller asks for, or [`Ports::of`] it.
    ///
    /// # Errors
    /// The wanted one is in use.
    pub(crate) fn wanted(&mut self, name: &str, wanted: Option<u16>) -> anyhow::Result<u16> {
        match wanted {
            None => self.of(name),
            Some(port) if is_free(port) => Ok(port),
            Some(port) => {
                bail!("port {port} ({name}) is in use by another program; choose another")
            }
        }
    }

    fn free(&mut self) -> anyhow::Result<u16> {
        if let Some(port) = self.blocks.keys().find_map(|block| self.free_in(*block)) {
            return Ok(port);
        }
        let start = rand::random_range(0..BLOCKS);
        for step in 0..BLOCKS {
            let block = (start + step) % BLOCKS;
            if !self.blocks.contains_key(&block)
                && self.hold(block)?
                && let Some(port) = self.free_in(block)
            {
                return Ok(port);
            }
        }
        bail!(
            "no free port between {FIRST} and {}",
            FIRST + BLOCK * BLOCKS
        )
    }

    fn free_in(&self, block: u16) -> Option<u16> {
        let first = FIRST + block * BLOCK;
        let given = |port: &u16| self.names.values().any(|other| other == port);
        (first..first + BLOCK).find(|port| !given(port) && is_free(*port))
    }

    /// Locks a block for this cluster; false if another has it.
    fn hold(&mut self, block: u16) -> anyhow::Result<bool> {
        if block >= BLOCKS {
            return Ok(false);
        }
        if self.blocks.contains_key(&block) {
            return Ok(true);
        }
        let path = self.locks.join(block.to_string());
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        let free = file.try_lock().is_ok();
        if free {
            self.blocks.insert(block, file);
        }
        Ok(free)
    }
}

fn block_of(port: u16) -> u16 {
    port.checked_sub(FIRST)
        .map_or(BLOCKS, |offset| offset / BLOCK)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests;
