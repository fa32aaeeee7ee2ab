//! What an earlier launcher left running: told by process number *and* start time, since numbers
//! are used again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::files;

/// Notes a running child in `folder`.
pub(crate) fn note(folder: &Path, name: &str, pid: u32) -> anyhow::Result<()> {
    let identity = identity(pid).unwrap_or_default();
    files::write(
        &folder.join(name),
        format!("{pid} {identity}\n").as_bytes(),
        0o600,
    )
}

/// Takes back the note of a child that has ended, unless another has its name by now.
pub(crate) fn forget(folder: &Path, name: &str, pid: u32) -> anyhow::Result<()> {
    let file = folder.join(name);
    match noted(&file) {
        Some((_, other, _)) if other != pid => Ok(()),
        _ => files::remove(&file),
    }
}

/// Ends what is noted in `folder` and still runs.
///
/// # Errors
/// Something cannot be ended.
pub(crate) async fn end(folder: &Path) -> anyhow::Result<()> {
    let mut running: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| noted(&entry.ok()?.path()))
        .collect();
    for round in 0..150 {
        running.retain(|(_, pid, noted)| identity(*pid).as_ref() == Some(noted));
        if running.is_empty() {
            break;
        }
        for (name, pid, _) in &running {
            // Interrupted, PostgreSQL ends its clients and then itself; so do the roles.
            let signal = match round {
                0 => Signal::SIGINT,
                100 => Signal::SIGKILL,
                _ => continue,
            };
            tracing::warn!(name, pid, %signal, "ending what an earlier run left behind");
            // One that is gone by now is what is wanted; the next round looks.
            kill(Pid::from_raw(i32::try_from(*pid)?), signal).ok();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if let Some((name, pid, _)) = running.first() {
        bail!("{name} (process {pid}) of an earlier run cannot be ended");
    }
    for entry in fs::read_dir(folder)? {
        files::remove(&entry?.path())?;
    }
    Ok(())
}

fn noted(file: &Path) -> Option<(String, u32, String)> {
    let name = file.file_name()?.to_str()?.to_owned();
    let text = fs::read_to_string(file).ok()?;
    let (pid, identity) = text.trim_end().split_once(' ')?;
    Some((name, pid.parse().ok()?, identity.to_owned()))
}

/// What no other process has had or will have: this boot's id and the start time. `None`: there is
/// no such process, or it only waits to be reaped.
fn identity(pid: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    // The state was field 3 of proc(5); the start time is field 22.
    let started = fields.nth(18)?;
    Some(format!("{started} {}", boot.trim_end()))
}

/// A process and all its descendants, parents first.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}
