use std::fs;

use super::*;

/// A folder with the files that a configuration names, and the configuration's text.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, "0123456789012345678901234567890123456789").unwrap();
        path.display().to_string()
    };
    let text = format!(
        "[server]\nname = \"example.org\"\npublic_url = \"https://example.org\"\n\
         [secrets]\nserver_secret_file = \"{0}\"\n\
         [postgres]\nprimary = \"host=db\"\n\
         [redis]\nendpoints = [\"redis://redis\"]\n\
         [rpc]\nca_file = \"{0}\"\ncert_file = \"{0}\"\nkey_file = \"{0}\"\n",
        file("secret")
    );
    (folder, text)
}

fn load(extra: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let (folder, text) = folder();
    let path = folder.path().join("config.toml");
    fs::write(&path, format!("{text}{extra}")).unwrap();
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(&path, environment)
}

fn message(extra: &str, environment: &[(&str, &str)]) -> String {
    load(extra, environment).unwrap_err().to_string()
}

#[test]
fn defaults_hold_where_the_file_is_silent() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.rooms.default_version, "12");
    assert_eq!(config.cluster.lease_ms, 2_000);
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    assert!(message("[log]\nlevle = \"info\"\n", &[]).contains("levle"));
    assert!(message("[logs]\n", &[]).contains("logs"));
    assert!(message("", &[("GANGLION__LOG__LEVLE", "info")]).contains("levle"));
}

#[test]
fn the_environment_overrides_the_file() {
    let environment = [
        ("GANGLION__CLUSTER__LEASE_MS", "3000"),
        ("GANGLION__SERVER__NAME", "other.org"),
    ];
    let config = load("", &environment).unwrap();
    assert_eq!(config.cluster.lease_ms, 3_000);
    assert_eq!(config.server.name, "other.org");
}

#[test]
fn all_problems_are_told_at_once_with_their_keys() {
    let text = message(
        "[cluster]\nlease_ms = 10\n[accounts]\nregistration = \"maybe\"\n[limits]\nshard_queue = 0\n",
        &[("GANGLION__SECRETS__SERVER_SECRET_FILE", "/nowhere")],
    );
    for key in [
        "cluster.lease_ms: 10 is too small; write 1000",
        "accounts.registration: `maybe`",
        "limits.shard_queue",
        "secrets.server_secret_file: /nowhere",
    ] {
        assert!(text.contains(key), "{key} is not in\n{text}");
    }
}

#[test]
fn every_key_is_documented() {
    let config = load("", &[]).unwrap();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    let Value::Table(sections) = Value::try_from(&config).unwrap() else {
        panic!("a table")
    };
    for (section, keys) in sections {
        assert!(page.contains(&format!("[{section}]")), "[{section}]");
        for key in keys.as_table().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "{section}.{key}");
        }
    }
}
