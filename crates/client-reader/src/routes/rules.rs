//! What holds for every request to an endpoint before its handler sees it: how often it may be made
//! (`[rate_limits]`), and whether a suspended account may make it (client-server API, "Account
//! suspension"). One table for all endpoints.

use std::collections::HashMap;

use ganglion_http_kit::Routes;
use http::Method;

use crate::state::AppState;

/// Of what kind a request is, for its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Without an access token.
    Open,
    Login,
    Register,
    Read,
    Write,
    /// What is seen for a moment, and comes often.
    Ephemeral,
    Send,
    Join,
    Invite,
    CreateRoom,
    Report,
    LoginToken,
}

/// What a suspended account may do with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspended {
    Served,
    /// Only events of its own are redacted; the handler says so to the room's owner.
    OwnRedactions,
    Refused,
}

/// The rules of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `None`: not limited.
    pub(crate) class: Option<Class>,
    pub(crate) suspended: Suspended,
}

/// Not limited, and served to suspended accounts.
const PLAIN: Rules = Rules {
    class: None,
    suspended: Suspended::Served,
};

const fn limited(class: Class) -> Rules {
    Rules {
        class: Some(class),
        ..PLAIN
    }
}

const fn refused(class: Class) -> Rules {
    Rules {
        class: Some(class),
        suspended: Suspended::Refused,
    }
}

/// Method, path below `/_matrix/client/<version>/`, rules. An endpoint without a row is served to
/// suspended accounts; a `GET` is limited as a read if the specification says so, all else as a
/// write.
const TABLE: &[(&str, &str, Rules)] = &[
    ("GET", "login", limited(Class::Open)),
    ("POST", "login", limited(Class::Login)),
    ("POST", "register", limited(Class::Register)),
    ("GET", "register/available", limited(Class::Open)),
    (
        "GET",
        "register/m.login.registration_token/validity",
        limited(Class::Open),
    ),
    ("POST", "register/email/requestToken", limited(Class::Open)),
    ("POST", "register/msisdn/requestToken", limited(Class::Open)),
    (
        "POST",
        "account/password/email/requestToken",
        limited(Class::Open),
    ),
    (
        "POST",
        "account/password/msisdn/requestToken",
        limited(Class::Open),
    ),
    (
        "POST",
        "account/3pid/email/requestToken",
        limited(Class::Open),
    ),
    (
        "POST",
        "account/3pid/msisdn/requestToken",
        limited(Class::Open),
    ),
    ("POST", "refresh", limited(Class::Open)),
    ("POST", "login/get_token", limited(Class::LoginToken)),
    // Whoever wants to end sessions may.
    ("POST", "logout", PLAIN),
    ("POST", "logout/all", PLAIN),
    ("POST", "account/3pid/delete", refused(Class::Write)),
    ("POST", "account/3pid/unbind", refused(Class::Write)),
    ("POST", "createRoom", refused(Class::CreateRoom)),
    ("POST", "rooms/{}/upgrade", refused(Class::CreateRoom)),
    ("POST", "rooms/{}/join", refused(Class::Join)),
    ("POST", "join/{}", refused(Class::Join)),
    ("POST", "knock/{}", refused(Class::Join)),
    ("POST", "rooms/{}/invite", refused(Class::Invite)),
    ("POST", "rooms/{}/kick", refused(Class::Write)),
    ("POST", "rooms/{}/ban", refused(Class::Write)),
    ("POST", "rooms/{}/unban", refused(Class::Write)),
    (
        "PUT",
        "rooms/{}/send/{}/{}",
        Rules {
            class: Some(Class::Send),
            suspended: Suspended::OwnRedactions,
        },
    ),
    (
        "PUT",
        "rooms/{}/redact/{}/{}",
        Rules {
            class: Some(Class::Send),
            suspended: Suspended::OwnRedactions,
        },
    ),
    ("PUT", "rooms/{}/state/{}", refused(Class::Send)),
    ("PUT", "rooms/{}/state/{}/", refused(Class::Send)),
    ("PUT", "rooms/{}/state/{}/{}", refused(Class::Send)),
    ("PUT", "profile/{}/{}", refused(Class::Write)),
    ("DELETE", "profile/{}/{}", refused(Class::Write)),
    ("PUT", "directory/room/{}", refused(Class::Write)),
    ("DELETE", "directory/room/{}", refused(Class::Write)),
    ("PUT", "directory/list/room/{}", refused(Class::Write)),
    ("POST", "rooms/{}/report", limited(Class::Report)),
    ("POST", "rooms/{}/report/{}", limited(Class::Report)),
    ("POST", "users/{}/report", limited(Class::Report)),
    ("PUT", "rooms/{}/typing/{}", refused(Class::Ephemeral)),
    ("PUT", "presence/{}/status", refused(Class::Ephemeral)),
    ("GET", "presence/{}/status", limited(Class::Read)),
    // Receipts belong to reading: they say what is unread.
    ("POST", "rooms/{}/receipt/{}/{}", limited(Class::Ephemeral)),
    ("POST", "rooms/{}/read_markers", limited(Class::Ephemeral)),
    ("POST", "publicRooms", limited(Class::Read)),
];

/// The rules for a request; none for what is no endpoint.
pub(crate) fn find(
    all: &HashMap<(Method, String), Rules>,
    method: &Method,
    path: &str,
) -> Option<Rules> {
    // The router has a `HEAD` served by the handler of `GET`.
    let method = if method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    };
    all.get(&(method, path.to_owned())).copied()
}

/// The rules of all endpoints, by method and path template.
pub(crate) fn of_all(routes: &Routes<AppState>) -> HashMap<(Method, String), Rules> {
    let table = routes.table().into_iter();
    table
        .map(|(method, path)| {
            let rules = of(&method, &path, routes.is_limited(&method, &path));
            ((method, path), rules)
        })
        .collect()
}

fn of(method: &Method, path: &str, is_limited: bool) -> Rules {
    let path = nameless(path);
    let row = TABLE
        .iter()
        .find(|(row_method, row_path, _)| method == row_method && *row_path == path);
    if let Some((_, _, rules)) = row {
        return *rules;
    }
    let class = if method == Method::GET {
        is_limited.then_some(Class::Read)
    } else {
        Some(Class::Write)
    };
    Rules { class, ..PLAIN }
}

/// A path template without its beginning, and without the names of its placeholders.
fn nameless(path: &str) -> String {
    let rest = path.strip_prefix("/_matrix/client/");
    let rest = rest
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, rest)| rest);
    let parts = rest.unwrap_or(path).split('/');
    let parts = parts.map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limited_endpoint_has_a_class() {
        let routes = crate::routes::all();
        let rules = of_all(&routes);
        for (method, path) in routes.table() {
            let rules = rules[&(method.clone(), path.clone())];
            if routes.is_limited(&method, &path) {
                assert!(rules.class.is_some(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_write_is_limited() {
        let mut unlimited: Vec<String> = of_all(&crate::routes::all())
            .into_iter()
            .filter(|((method, _), rules)| method != Method::GET && rules.class.is_none())
            .map(|((method, path), _)| format!("{method} {}", nameless(&path)))
            .collect();
        unlimited.sort_unstable();
        unlimited.dedup();
        assert_eq!(unlimited, ["POST logout", "POST logout/all"]);
    }

    #[test]
    fn a_head_has_the_rules_of_its_get() {
        let all = of_all(&crate::routes::all());
        let path = "/_matrix/client/v3/login";
        assert_eq!(find(&all, &Method::HEAD, path), Some(limited(Class::Open)));
        assert_eq!(find(&all, &Method::HEAD, "/nowhere"), None);
        for ((method, path), rules) in &all {
            if method == Method::GET {
                assert_eq!(find(&all, &Method::HEAD, path), Some(*rules), "{path}");
            }
        }
    }

    #[test]
    fn every_row_is_about_an_endpoint_or_two() {
        let table = crate::routes::all().table();
        let routed: Vec<(String, String)> = table
            .into_iter()
            .map(|(method, path)| (method.to_string(), nameless(&path)))
            .collect();
        let unknown: Vec<_> = TABLE
            .iter()
            .filter(|(method, path, _)| !routed.iter().any(|(m, p)| m == method && p == path))
            .map(|(method, path, _)| (*method, *path))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
