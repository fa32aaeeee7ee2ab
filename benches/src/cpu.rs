//! CPU time of processes, from /proc.

use std::path::Path;

/// Clock ticks in a second (`sysconf(_SC_CLK_TCK)`): 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// The processes that are watched.
pub(crate) struct Watch {
    roots: Vec<u32>,
}

impl Watch {
    /// These processes, with their children.
    pub(crate) fn of(pids: &[u32]) -> Self {
        Self {
            roots: pids.to_vec(),
        }
    }

    /// All processes of a local cluster, by the files that hold their numbers.
    pub(crate) fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let mut roots = Vec::new();
        for entry in std::fs::read_dir(folder.join("pids"))? {
            let text = std::fs::read_to_string(entry?.path())?;
            roots.extend(
                text.split_whitespace()
                    .next()
                    .and_then(|pid| pid.parse::<u32>().ok()),
            );
        }
        Ok(Self { roots })
    }

    /// Seconds used until now: by name, those with any; children count with their parent.
    pub(crate) fn seconds(&self) -> Vec<(String, f64)> {
        let all = processes();
        let mut used = Vec::new();
        for root in &self.roots {
            let name = all
                .iter()
                .find(|process| process.pid == *root)
                .map(|p| p.name.clone());
            let Some(name) = name else { continue };
            let mut tree = vec![*root];
            let mut at = 0;
            while let Some(parent) = tree.get(at).copied() {
                tree.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
                at += 1;
            }
            let seconds: f64 = all
                .iter()
                .filter(|p| tree.contains(&p.pid))
                .map(|p| p.seconds)
                .sum();
            used.push((format!("{name}/{root}"), seconds));
        }
        used
    }
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    seconds: f64,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let stat = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        parse(
            pid,
            &std::fs::read_to_string(entry.path().join("stat")).ok()?,
        )
    };
    entries.filter_map(|entry| stat(entry.ok()?)).collect()
}

/// `pid (name) state ppid … utime stime …` (proc(5)); the name may hold anything.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name: head.split_once('(')?.1.to_owned(),
        seconds: (ticks(11)? + ticks(12)?) / TICKS,
    })
}
