//! `docs/endpoints.md` says what is served, and which tests show it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ganglion_launcher::Role;

use crate::sandbox::routes;

const TABLE: &str = "docs/endpoints.md";

/// A row of the table.
pub(crate) struct Row {
    pub(crate) method: String,
    /// As the specification writes it.
    pub(crate) path: String,
    /// The specification answers 429.
    pub(crate) limited: bool,
    /// Unless `not yet`.
    pub(crate) role: Option<String>,
    /// File below `tests/it` and function.
    tests: Vec<(String, String)>,
}

/// The rows of all tables of the page.
pub(crate) fn rows() -> Vec<Row> {
    let page = read(TABLE).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| row(line).unwrap_or_else(|| panic!("{TABLE}: not a row: {line}")))
        .collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [endpoint, limited, role, shown] = cells.try_into().ok()?;
    let (method, path) = endpoint.split('`').nth(1)?.split_once(' ')?;
    // The odd ones are in backticks: a file, then functions of it.
    let mut file = None;
    let mut tests = Vec::new();
    for name in shown.split('`').skip(1).step_by(2) {
        match &file {
            _ if Path::new(name).extension().is_some() => file = Some(name.to_owned()),
            Some(file) => tests.push((file.clone(), name.to_owned())),
            None => return None,
        }
    }
    Some(Row {
        method: method.to_owned(),
        path: path.to_owned(),
        limited: limited == "yes",
        role: (role != "not yet").then(|| role.to_owned()),
        tests,
    })
}

fn read(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))
}

/// What makes two spellings one endpoint: names of placeholders, `r0`, a slash at the end.
fn endpoint(method: &str, path: &str) -> String {
    let path = path.replace("/_matrix/client/r0/", "/_matrix/client/v3/");
    let parts = path.trim_end_matches('/').split('/');
    let parts: Vec<&str> = parts
        .map(|part| if part.starts_with('{') { "{}" } else { part })
        .collect();
    format!("{method} {}", parts.join("/"))
}

#[test]
fn every_route_is_in_the_table() {
    let mut served = BTreeMap::new();
    for role in Role::all() {
        for (method, path) in routes(*role) {
            let key = endpoint(method.as_str(), &path);
            let path = path.replace("/r0/", "/v3/");
            served.entry(key).or_insert((role.as_str(), method, path));
        }
    }
    let mut wrong = Vec::new();
    let mut written = BTreeSet::new();
    for row in rows() {
        let key = endpoint(&row.method, &row.path);
        let role = served.get(&key).map(|(role, ..)| *role);
        if row.role.as_deref() != role {
            let both = [row.role.as_deref(), role];
            let [said, is] = both.map(|role| role.unwrap_or("not yet"));
            let Row { method, path, .. } = row;
            wrong.push(format!("{method} {path}: write `{is}` instead of `{said}`"));
        }
        written.insert(key);
    }
    let missing = served.iter().filter(|(key, _)| !written.contains(*key));
    wrong.extend(missing.map(|(_, (role, method, path))| {
        format!("add the row | `{method} {path}` | | {role} | `client/<file>.rs` `<test>` |")
    }));
    assert!(wrong.is_empty(), "{TABLE}:\n{}", wrong.join("\n"));
}

#[test]
fn every_test_in_the_table_is_there() {
    let mut wrong = Vec::new();
    for row in rows() {
        let what = format!("{} {}", row.method, row.path);
        match &row.role {
            Some(role) if Role::all().iter().all(|known| known.as_str() != role) => {
                wrong.push(format!("`{role}` is no role: {what}"));
            }
            Some(_) if row.tests.is_empty() => wrong.push(format!("no test shows {what}")),
            None if !row.tests.is_empty() => {
                wrong.push(format!("not served, but shown by a test: {what}"));
            }
            _ => {}
        }
        for (file, test) in row.tests {
            let source = read(&format!("tests/it/{file}")).unwrap_or_default();
            if !has_test(&source, &test) {
                wrong.push(format!("tests/it/{file} has no test `{test}` for {what}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{TABLE}:\n{}", wrong.join("\n"));
}

/// Whether the file has this function, right below the attribute of a test.
fn has_test(source: &str, name: &str) -> bool {
    let mut before = "";
    for line in source.lines() {
        if line.contains(&format!("fn {name}()")) {
            return before.starts_with("#[test]") || before.starts_with("#[tokio::test");
        }
        before = line;
    }
    false
}
