//! Small things with files.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

/// Writes a file whole or not at all, with these permissions from its first byte on.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let written = (|| {
        // A partial file of an earlier run may have other permissions.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&partial)?;
        file.write_all(content)?;
        fs::set_permissions(&partial, Permissions::from_mode(mode))?;
        fs::rename(&partial, path)
    })();
    written.with_context(|| format!("write {}", path.display()))
}

/// Makes a folder, with its parents, and sets its permissions.
pub(crate) fn folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .with_context(|| format!("make the folder {}", path.display()))
}

/// Removes a file that may not exist.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(
        bytes
            .get(bytes.len().saturating_sub(4_000)..)
            .unwrap_or(&[]),
    );
    let lines: Vec<_> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or(&[]);
    format!("{}:\n  {}", path.display(), last.join("\n  "))
}
