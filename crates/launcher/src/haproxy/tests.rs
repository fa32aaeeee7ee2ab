use super::*;

fn balancer<'a>(rules: &'a [Rule], servers: usize) -> Balancer<'a> {
    let servers = (1..=servers)
        .map(|n| Server {
            name: format!("client-reader-{n}"),
            http: 15_000,
            admin: 15_001,
        })
        .collect();
    Balancer {
        plain: local(8_008),
        tls: local(8_448),
        bundle: Path::new("/tmp/haproxy.pem"),
        socket: Path::new("/tmp/haproxy.sock"),
        metrics: 8_405,
        connections: 20_000,
        rules,
        default: "client-reader",
        backends: BTreeMap::from([("client-reader", servers)]),
    }
}

#[test]
fn rules_come_before_the_default() {
    let rules = [Rule {
        prefix: "/_matrix/media".to_owned(),
        role: "media".to_owned(),
    }];
    let text = text(&balancer(&rules, 2));
    let rule = "use_backend media if { path /_matrix/media } || { path_beg /_matrix/media/ }";
    assert!(text.find(rule).unwrap() < text.find("default_backend client-reader").unwrap());
    assert!(text.contains("  server client-reader-2 127.0.0.1:15000 port 15001\n"));
}

/// The lines about requests and servers are, word for word, those of the chart.
#[test]
fn the_chart_has_the_same_rules() {
    let chart = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../helm/ganglion/templates/_haproxy.tpl"
    );
    let chart = std::fs::read_to_string(chart).unwrap();
    let same = |line: &&str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line.starts_with("default-server"))
    };
    for line in [DEFAULTS, LOG, REQUESTS, BACKEND]
        .concat()
        .lines()
        .filter(same)
    {
        assert!(chart.contains(line.trim()), "{line}");
    }
    for (status, code, words) in ERRORS {
        let entry = format!(r#"(dict "status" {status} "errcode" "{code}" "text" "{words}")"#);
        assert!(chart.contains(&entry), "{entry}");
    }
    assert!(chart.contains(ERROR_HEADERS));
}
