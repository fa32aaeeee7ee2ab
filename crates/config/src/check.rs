//! Values that parse but cannot work.

use std::path::Path;

use crate::load::Problem;
use crate::sections::Config;

/// The least length of the server secret, in bytes.
const SECRET_BYTES: u64 = 32;

impl Config {
    /// Everything that is wrong, each with key, value and fix.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check_server(&mut found);
        self.check_files(&mut found);
        self.check_stores(&mut found);
        self.check_cluster(&mut found);
        self.check_limits(&mut found);
        self.check_accounts(&mut found);
        self.check_presence(&mut found);
        self.check_rate_limits(&mut found);
        found
    }

    fn check_server(&self, found: &mut Vec<Problem>) {
        let name = &self.server.name;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        if name.is_empty() || name.len() > 230 || !name.chars().all(allowed) {
            found.push(Problem::new(
                "server.name",
                format!("`{name}` is no server name; write a DNS name, e.g. example.org"),
            ));
        }
        let url = &self.server.public_url;
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            found.push(Problem::new(
                "server.public_url",
                format!("`{url}` is no address; write e.g. https://matrix.example.org"),
            ));
        }
        let version = &self.rooms.default_version;
        if !version
            .parse::<u8>()
            .is_ok_and(|number| (3..=12).contains(&number))
        {
            found.push(Problem::new(
                "rooms.default_version",
                format!("`{version}` is not supported; write \"3\" to \"12\""),
            ));
        }
    }

    fn check_files(&self, found: &mut Vec<Problem>) {
        let secret = &self.secrets.server_secret_file;
        match std::fs::metadata(secret) {
            Ok(file) if file.len() < SECRET_BYTES => found.push(Problem::new(
                "secrets.server_secret_file",
                format!(
                    "{} holds less than {SECRET_BYTES} bytes; write random ones",
                    secret.display()
                ),
            )),
            Ok(_) => {}
            Err(error) => found.push(unreadable("secrets.server_secret_file", secret, &error)),
        }
        let mut files = vec![
            ("rpc.ca_file", self.rpc.ca_file.as_path()),
            ("rpc.cert_file", self.rpc.cert_file.as_path()),
            ("rpc.key_file", self.rpc.key_file.as_path()),
        ];
        let optional = [
            ("secrets.signing_key_file", &self.secrets.signing_key_file),
            ("postgres.password_file", &self.postgres.password_file),
            ("redis.password_file", &self.redis.password_file),
        ];
        files.extend(
            optional
                .iter()
                .filter_map(|(key, path)| Some((*key, path.as_deref()?))),
        );
        for (key, path) in files {
            if let Err(error) = std::fs::File::open(path) {
                found.push(unreadable(key, path, &error));
            }
        }
    }

    fn check_stores(&self, found: &mut Vec<Problem>) {
        if self.redis.endpoints.is_empty() {
            found.push(Problem::new(
                "redis.endpoints",
                "is empty; name at least one endpoint",
            ));
        }
        for endpoint in &self.redis.endpoints {
            let schemes = ["redis://", "redis+unix://", "unix://"];
            if !schemes.iter().any(|scheme| endpoint.starts_with(scheme)) {
                found.push(Problem::new(
                    "redis.endpoints",
                    format!("`{endpoint}` is no address; write e.g. redis://redis:6379"),
                ));
            }
        }
        for (key, size) in [
            ("postgres.primary_pool", self.postgres.primary_pool),
            ("postgres.replica_pool", self.postgres.replica_pool),
            ("redis.stream_length", self.redis.stream_length),
        ] {
            at_least(found, key, size as u64, 1);
        }
        at_least(found, "postgres.timeout_ms", self.postgres.timeout_ms, 100);
        at_least(found, "redis.timeout_ms", self.redis.timeout_ms, 50);
        at_least(found, "rpc.deadline_ms", self.rpc.deadline_ms, 1_000);
    }

    fn check_cluster(&self, found: &mut Vec<Problem>) {
        let cluster = &self.cluster;
        at_least(found, "cluster.heartbeat_ms", cluster.heartbeat_ms, 20);
        at_least(
            found,
            "cluster.lease_ms",
            cluster.lease_ms,
            cluster.heartbeat_ms * 2,
        );
        at_least(
            found,
            "cluster.refused_lease_ms",
            cluster.refused_lease_ms,
            cluster.heartbeat_ms,
        );
        at_least(
            found,
            "cluster.drain_ms",
            cluster.drain_ms,
            cluster.drain_delay_ms + 1_000,
        );
        at_least(found, "cluster.head_check_ms", cluster.head_check_ms, 50);
        at_least(found, "cluster.retention_ms", cluster.retention_ms, 1_000);
    }

    fn check_limits(&self, found: &mut Vec<Problem>) {
        let limits = &self.limits;
        for (key, value) in [
            ("limits.shard_queue", limits.shard_queue),
            ("limits.batch_commands", limits.batch_commands),
            ("limits.publish_queue", limits.publish_queue),
            ("limits.room_cache_bytes", limits.room_cache_bytes),
            ("limits.tail_entries", limits.tail_entries),
            ("limits.tail_bytes", limits.tail_bytes),
            ("limits.token_cache", limits.token_cache),
            ("limits.event_cache_bytes", limits.event_cache_bytes),
            ("limits.initial_syncs", limits.initial_syncs),
            ("limits.password_hashes", limits.password_hashes),
            ("http.max_requests", self.http.max_requests),
            ("http.max_parked", self.http.max_parked),
        ] {
            at_least(found, key, value as u64, 1);
        }
        // An event is up to 64 KiB; a request that carries one is a little more.
        at_least(
            found,
            "http.max_body_bytes",
            self.http.max_body_bytes as u64,
            131_072,
        );
        at_least(
            found,
            "http.request_timeout_ms",
            self.http.request_timeout_ms,
            1_000,
        );
    }

    fn check_accounts(&self, found: &mut Vec<Problem>) {
        let accounts = &self.accounts;
        if !matches!(
            accounts.registration.as_str(),
            "open" | "token" | "disabled"
        ) {
            found.push(Problem::new(
                "accounts.registration",
                format!(
                    "`{}`; write \"open\", \"token\" or \"disabled\"",
                    accounts.registration
                ),
            ));
        }
        at_least(
            found,
            "accounts.argon2_memory_kib",
            accounts.argon2_memory_kib.into(),
            8,
        );
        at_least(
            found,
            "accounts.argon2_passes",
            accounts.argon2_passes.into(),
            1,
        );
        at_least(
            found,
            "accounts.password_min_length",
            accounts.password_min_length as u64,
            1,
        );
        at_least(
            found,
            "accounts.login_token_lifetime_ms",
            accounts.login_token_lifetime_ms,
            1_000,
        );
        at_least(
            found,
            "accounts.access_token_lifetime_ms",
            accounts.access_token_lifetime_ms,
            1_000,
        );
    }
}

impl Config {
    fn check_presence(&self, found: &mut Vec<Problem>) {
        let presence = &self.presence;
        at_least(found, "presence.refresh_ms", presence.refresh_ms, 100);
        let offline = presence.refresh_ms.saturating_mul(3) / 2;
        at_least(found, "presence.offline_ms", presence.offline_ms, offline);
        at_least(found, "presence.active_ms", presence.active_ms, 100);
        let idle = presence.active_ms;
        at_least(found, "presence.idle_ms", presence.idle_ms, idle);
    }

    fn check_rate_limits(&self, found: &mut Vec<Problem>) {
        for (name, rate) in self.rate_limits.rates() {
            let key = format!("rate_limits.{name}");
            at_least(found, &format!("{key}.burst"), rate.burst.into(), 1);
            // What lies beyond is less than a unit of the buckets' time, or more than a day of it.
            if !(0.000_01..=1_000_000.0).contains(&rate.per_second) {
                found.push(Problem::new(
                    &format!("{key}.per_second"),
                    format!("{}; write 0.00001 to 1000000", rate.per_second),
                ));
            }
        }
        for user in &self.rate_limits.exempt_users {
            if !user.starts_with('@') || !user.contains(':') {
                found.push(Problem::new(
                    "rate_limits.exempt_users",
                    format!("`{user}` is no user id; write e.g. @bot:example.org"),
                ));
            }
        }
    }
}

fn at_least(found: &mut Vec<Problem>, key: &str, value: u64, least: u64) {
    if value < least {
        found.push(Problem::new(
            key,
            format!("{value} is too small; write {least} or more"),
        ));
    }
}

fn unreadable(key: &str, path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        key,
        format!(
            "{}: {error}; name a file that this process may read",
            path.display()
        ),
    )
}
