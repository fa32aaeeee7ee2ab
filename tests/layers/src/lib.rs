//! The layer rule: a crate depends on lower layers only (docs/architecture.md, "Crates").
//!
//! To add a crate, give it a place in [`LAYERS`] or [`BESIDE`].

use std::collections::BTreeMap;

use serde_json::Value;

/// The crates of each layer, from the bottom; within a layer nobody knows another.
pub const LAYERS: [&[&str]; 7] = [
    &["ganglion-model", "ganglion-config", "ganglion-proto"],
    &[
        "ganglion-event-rules",
        "ganglion-state-deltas",
        "ganglion-push-rules",
    ],
    &[
        "ganglion-telemetry",
        "ganglion-storage",
        "ganglion-stream",
        "ganglion-rpc",
        "ganglion-http-kit",
        "ganglion-runtime",
    ],
    &["ganglion-cluster"],
    &["ganglion-rooms", "ganglion-accounts", "ganglion-sync"],
    &[
        "ganglion-client-reader",
        "ganglion-event-persister",
        "ganglion-pusher",
    ],
    &["ganglion-launcher", "ganglion"],
];

/// Beside the layers: they may use everything, nothing uses them.
pub const BESIDE: [&str; 3] = ["ganglion-tests", "ganglion-layers", "ganglion-benches"];

/// Edges within a layer: adapters tell telemetry what they do, `/sync` reads rooms and accounts, the
/// tool is a shell around the launcher.
const WITHIN: [(&str, &str); 8] = [
    ("ganglion-storage", "ganglion-telemetry"),
    ("ganglion-stream", "ganglion-telemetry"),
    ("ganglion-rpc", "ganglion-telemetry"),
    ("ganglion-http-kit", "ganglion-telemetry"),
    ("ganglion-runtime", "ganglion-telemetry"),
    ("ganglion-sync", "ganglion-rooms"),
    ("ganglion-sync", "ganglion-accounts"),
    ("ganglion", "ganglion-launcher"),
];

/// Who may know an outside thing: one owner each.
const OWNERS: [(&str, &[&str]); 5] = [
    ("deadpool-postgres", &["ganglion-storage"]),
    ("sqlx", &["ganglion-launcher"]),
    ("redis", &["ganglion-stream"]),
    (
        "axum",
        &[
            "ganglion-http-kit",
            "ganglion-runtime",
            "ganglion-client-reader",
        ],
    ),
    ("argon2", &["ganglion-accounts"]),
];

/// What is wrong in `cargo metadata --no-deps`, one line each.
#[must_use]
pub fn problems(metadata: &Value) -> Vec<String> {
    let mut layers = BTreeMap::new();
    for (number, crates) in LAYERS.iter().enumerate() {
        layers.extend(crates.iter().map(|name| (*name, number)));
    }
    let mut problems = Vec::new();
    for package in list(metadata, "packages") {
        let name = text(package, "name");
        let layer = layers.get(name).copied();
        if layer.is_none() && !BESIDE.contains(&name) {
            problems.push(format!("{name} has no layer"));
        }
        for dependency in list(package, "dependencies") {
            let to = text(dependency, "name");
            if !list(dependency, "features").is_empty() && is_member_feature(package, to) {
                problems.push(format!("{name}: features of {to} belong to the workspace"));
            }
            if let Some(layer) = layer {
                problems.extend(edge(name, layer, to, &layers));
                let is_dev = dependency.get("kind").and_then(Value::as_str) == Some("dev");
                if !is_dev {
                    problems.extend(owner(name, to));
                }
            }
        }
        if !manifest(package).contains("[lints]\nworkspace = true") {
            problems.push(format!("{name}: `[lints] workspace = true` is missing"));
        }
    }
    problems
}

fn edge(name: &str, layer: usize, to: &str, layers: &BTreeMap<&str, usize>) -> Option<String> {
    if BESIDE.contains(&to) {
        return Some(format!("{name} must not depend on {to}"));
    }
    let below = *layers.get(to)?;
    let allowed = below < layer || WITHIN.contains(&(name, to));
    (!allowed).then(|| format!("{name} (layer {layer}) must not depend on {to} (layer {below})"))
}

fn owner(name: &str, to: &str) -> Option<String> {
    let (_, owners) = OWNERS.iter().find(|(thing, _)| *thing == to)?;
    (!owners.contains(&name)).then(|| format!("{name} must not depend on {to}: {owners:?} own it"))
}

/// True if the manifest itself names features for a dependency.
fn is_member_feature(package: &Value, dependency: &str) -> bool {
    manifest(package)
        .lines()
        .any(|line| line.starts_with(dependency) && line.contains("features"))
}

fn manifest(package: &Value) -> String {
    std::fs::read_to_string(text(package, "manifest_path")).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_keeps_to_its_layer() {
        let cargo = std::process::Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--offline",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(
            cargo.status.success(),
            "{}",
            String::from_utf8_lossy(&cargo.stderr)
        );
        let metadata = serde_json::from_slice(&cargo.stdout).unwrap();
        let problems = problems(&metadata);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn an_upward_edge_is_found() {
        let package = |name: &str, to: &str| serde_json::json!({"packages": [{"name": name, "dependencies": [{"name": to}]}]});
        let found = |name, to| problems(&package(name, to)).join("\n");
        assert!(found("ganglion-model", "ganglion-storage").contains("must not depend"));
        assert!(found("ganglion-rooms", "ganglion-accounts").contains("must not depend"));
        assert!(found("ganglion-rooms", "redis").contains("own it"));
        assert!(!found("ganglion-sync", "ganglion-rooms").contains("must not depend"));
    }
}
