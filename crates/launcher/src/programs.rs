//! The stores' programs, found on this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Where each program is.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) pg_basebackup: PathBuf,
    pub(crate) redis: PathBuf,
    pub(crate) haproxy: PathBuf,
    /// Only looked for if it is to be used.
    pub(crate) pgbouncer: Option<PathBuf>,
    pub(crate) setpriv: PathBuf,
}

impl Programs {
    /// # Errors
    /// Names what is missing and the `apt-get` line that installs it.
    pub(crate) fn find(with_pgbouncer: bool) -> anyhow::Result<Self> {
        let postgres = postgres_folders();
        let path = path_folders();
        let mut missing = Missing::default();
        // One version for all three: a folder that has them together.
        let complete = postgres.iter().find(|folder| {
            ["initdb", "postgres", "pg_basebackup"]
                .iter()
                .all(|name| folder.join(name).is_file())
        });
        let of_postgres: &[PathBuf] = complete.map_or(&path, std::slice::from_ref);
        let found = Self {
            initdb: missing.find("initdb", "postgresql", of_postgres),
            postgres: missing.find("postgres", "postgresql", of_postgres),
            pg_basebackup: missing.find("pg_basebackup", "postgresql", of_postgres),
            redis: missing.find("redis-server", "redis-server", &path),
            haproxy: missing.find("haproxy", "haproxy", &path),
            pgbouncer: with_pgbouncer.then(|| missing.find("pgbouncer", "pgbouncer", &path)),
            setpriv: missing.find("setpriv", "util-linux", &path),
        };
        missing.none()?;
        Ok(found)
    }
}

#[derive(Default)]
struct Missing {
    programs: Vec<&'static str>,
    packages: Vec<&'static str>,
}

impl Missing {
    /// The program's path; empty and noted if there is none.
    fn find(
        &mut self,
        program: &'static str,
        package: &'static str,
        folders: &[PathBuf],
    ) -> PathBuf {
        let found = folders
            .iter()
            .map(|folder| folder.join(program))
            .find(|path| path.is_file());
        if found.is_none() {
            self.programs.push(program);
            if !self.packages.contains(&package) {
                self.packages.push(package);
            }
        }
        found.unwrap_or_default()
    }

    fn none(self) -> anyhow::Result<()> {
        if self.programs.is_empty() {
            return Ok(());
        }
        bail!(
            "not installed: {}; on Debian and Ubuntu: apt-get install --no-install-recommends {}",
            self.programs.join(", "),
            self.packages.join(" "),
        )
    }
}

/// Debian's folders of PostgreSQL's programs, the newest version first; these are not on the path.
fn postgres_folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions
        .into_iter()
        .map(|(_, folder)| folder)
        .chain(path_folders())
        .collect()
}

/// The folders of `PATH`, and those of system programs, which an ordinary user's may lack.
fn path_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .collect()
}

/// A role's binary.
///
/// # Errors
/// It is not there.
pub(crate) fn role_binary(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    path.canonicalize().with_context(|| {
        format!(
            "{}: no such binary; `cargo build --bin {name}` makes it",
            path.display()
        )
    })
}
