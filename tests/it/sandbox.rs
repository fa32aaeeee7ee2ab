//! Clusters for tests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ganglion_launcher::{Facts, LocalCluster, Options, Role};
use reqwest::Method;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::NoTls;

use crate::user::{User, http};

/// A cluster of one test's own, which the test may break.
pub(crate) struct Sandbox {
    pub(crate) cluster: LocalCluster,
    _turn: MutexGuard<'static, ()>,
}

/// Tests that break clusters take turns: on two cores they would starve each other.
static TURN: Mutex<()> = Mutex::const_new(());

impl Sandbox {
    /// Two of each role, primary and replica, Redis, HAProxy; leases as in production.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_with(name, |_options| {}).await
    }

    /// The same with other options.
    pub(crate) async fn start_with(name: &str, change: impl FnOnce(&mut Options)) -> Self {
        let turn = TURN.lock().await;
        let mut options = options(name);
        change(&mut options);
        let cluster = Box::pin(LocalCluster::start(options)).await.unwrap();
        Self {
            cluster,
            _turn: turn,
        }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        self.cluster.facts().client_url_plain
    }

    /// A new user of this cluster.
    pub(crate) async fn user(&self, name: &str) -> User {
        User::register(&self.url(), name).await
    }

    /// Ends everything; no role may end badly.
    pub(crate) async fn end(self) {
        self.cluster.shutdown().await.unwrap();
    }
}

fn options(name: &str) -> Options {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(env!("CARGO_CRATE_NAME"))
        .join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let mut options = Options::new(folder, bin_dir());
    // Killed processes lose nothing by it; only a power cut would.
    options.durable = false;
    options
}

/// Where `make test` has built the roles.
pub(crate) fn bin_dir() -> PathBuf {
    match std::env::var_os("GANGLION_BIN_DIR") {
        Some(folder) => folder.into(),
        // target/debug/deps/it-…: the binaries are one up.
        None => std::env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .to_owned(),
    }
}

/// The routes of a role, as its binary lists them.
pub(crate) fn routes(role: Role) -> Vec<(Method, String)> {
    let binary = bin_dir().join(role.as_str());
    let listed = std::process::Command::new(binary).arg("--routes").output();
    let listed: Vec<(String, String)> = serde_json::from_slice(&listed.unwrap().stdout).unwrap();
    let parsed = listed.into_iter();
    parsed
        .map(|(method, path)| (method.parse().unwrap(), path))
        .collect()
}

/// What tests need of the shared cluster.
pub(crate) struct Shared {
    pub(crate) facts: Facts,
    pub(crate) cluster: LocalCluster,
}

/// The cluster of all tests that break nothing. It ends with the test process.
pub(crate) async fn shared() -> &'static Shared {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let make = || async {
        let runtime = RUNTIME.get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap()
        });
        // Its tasks must outlive the test that comes first.
        let start = || {
            runtime.block_on(async {
                let mut options = options("shared");
                options.pgbouncer = true;
                options.settings = settings();
                let cluster = Box::pin(LocalCluster::start(options)).await.unwrap();
                Shared {
                    facts: cluster.facts(),
                    cluster,
                }
            })
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    };
    SHARED.get_or_init(make).await
}

/// `GANGLION_TEST_SETTINGS`: settings of the roles of the shared cluster, as in
/// `limits.tail_entries=20,limits.tail_bytes=100000`.
fn settings() -> Vec<(String, String)> {
    let text = std::env::var("GANGLION_TEST_SETTINGS").unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl Shared {
    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.facts.client_url_plain
    }

    /// A new user with a name that no other test has.
    pub(crate) async fn user(&self, name: &str) -> User {
        User::register(self.url(), &format!("{name}-{:08x}", rand::random::<u32>())).await
    }

    /// The addresses of the client-readers themselves, past HAProxy.
    pub(crate) fn readers(&self) -> Vec<String> {
        self.facts
            .processes
            .iter()
            .filter_map(|process| process.http_url.clone())
            .collect()
    }
}

/// Runs the tool against a cluster; what it printed.
#[track_caller]
pub(crate) fn tool(cluster: &LocalCluster, arguments: &[&str]) -> String {
    let config = cluster.config_of(Role::ClientReader);
    let output = std::process::Command::new(bin_dir().join("ganglion"))
        .args(arguments)
        .arg("--config")
        .arg(config.with_file_name("ganglion.toml"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A connection to a database.
pub(crate) async fn connect(dsn: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(async move {
        // It ends when the client is dropped, or the database is killed.
        drop(connection.await);
    });
    client
}

/// The sum of a metric over all its labels that contain `label`; 0 if there is none.
pub(crate) async fn metric(admin_url: &str, name: &str, label: &str) -> f64 {
    let text = http()
        .get(format!("{admin_url}/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    text.lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Waits until something is so, asking every 50 ms, up to `limit`.
pub(crate) async fn eventually(limit: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let end = tokio::time::Instant::now() + limit;
    loop {
        if is_so().await {
            return true;
        }
        if tokio::time::Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
