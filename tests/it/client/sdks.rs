//! Real clients as they are: matrix-nio (Python) and matrix-js-sdk (Node), by the scripts in
//! `tests/clients`. Both are installed into the target folder once, at the versions pinned there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::sandbox::shared;

/// What the clients ask for and is not there yet; another one that is missing has got lost.
const NOT_YET: &[&str] = &[
    "GET /_matrix/client/unstable/org.matrix.msc2946/rooms/*/hierarchy",
    "GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports",
    "GET /_matrix/client/v1/media/config",
    "GET /_matrix/client/v1/rooms/*/relations/*/m.thread",
    "GET /_matrix/client/v1/rooms/*/threads",
    "GET /_matrix/client/v3/account/3pid",
    "GET /_matrix/client/v3/devices",
    "GET /_matrix/client/v3/directory/list/room/*",
    "GET /_matrix/client/v3/directory/room/*",
    "GET /_matrix/client/v3/publicRooms",
    "GET /_matrix/client/v3/pushers",
    "GET /_matrix/client/v3/rooms/*/context/*",
    "GET /_matrix/client/v3/voip/turnServer",
    "POST /_matrix/client/v3/search",
    "POST /_matrix/client/v3/user/*/openid/request_token",
    "POST /_matrix/client/v3/user_directory/search",
];

#[tokio::test]
async fn nio_talks_to_itself() {
    let python = python().await;
    let facts = &shared().await.facts;
    let ca_file = facts.ca_file.to_str().unwrap();
    let (plain, tls) = (&*facts.client_url_plain, &*facts.client_url);
    check(&[nio(python, "talk.py", &[plain, tls, ca_file, &tag()]).await]);
}

#[tokio::test]
async fn js_sdk_talks_to_itself() {
    let node = node().await;
    let cluster = shared().await;
    check(&[js(node, "talk.mjs", &[cluster.url(), &tag()]).await]);
}

#[tokio::test]
async fn nio_and_js_sdk_talk_to_each_other() {
    let (python, node) = (python().await, node().await);
    let cluster = shared().await;
    let (url, server) = (cluster.url(), &cluster.facts.server_name);
    let (by_nio, by_js) = (format!("nio-{}", tag()), format!("js-{}", tag()));
    let (nio_id, js_id) = (format!("@{by_nio}:{server}"), format!("@{by_js}:{server}"));
    let arguments = ([url, &by_nio, &js_id], [url, &by_js, &nio_id]);
    let (first, second) = tokio::join!(
        nio(python, "partner.py", &arguments.0),
        js(node, "partner.mjs", &arguments.1),
    );
    check(&[first, second]);
}

/// Makes names new.
fn tag() -> String {
    format!("{:08x}", rand::random::<u32>())
}

/// The scripts.
fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(language)
}

async fn nio(python: &Path, script: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(python);
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(sources("nio").join(script))
        .args(arguments);
    run(command, SCENARIO).await
}

async fn js(node: &Path, script: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(node_program(node));
    command.arg(node.join(script)).args(arguments);
    run(command, SCENARIO).await
}

/// All scripts must have ended well, and missed nothing but what is [`NOT_YET`].
fn check(outcomes: &[(bool, String)]) {
    let output: Vec<&str> = outcomes.iter().map(|(_, output)| output.as_str()).collect();
    let output = output.join("\n\n");
    assert!(outcomes.iter().all(|(fine, _)| *fine), "{output}");
    for request in output
        .lines()
        .filter_map(|line| line.strip_prefix("not served: "))
    {
        println!("not served: {request}");
        assert!(
            NOT_YET.contains(&request),
            "{request} is not served any more"
        );
    }
}

/// Whether it ended well, and what it printed.
async fn run(mut command: Command, limit: Duration) -> (bool, String) {
    let output = command
        .kill_on_drop(true)
        .stdin(std::process::Stdio::null())
        .output();
    match tokio::time::timeout(limit, output).await {
        Ok(Ok(output)) => {
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed).into_owned();
            (output.status.success(), printed)
        }
        Ok(Err(error)) => (false, error.to_string()),
        Err(_elapsed) => (false, format!("not done within {limit:?}")),
    }
}

/// The Python of a venv with matrix-nio.
async fn python() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    PYTHON
        .get_or_init(|| async {
            let folder = Installation::begin("nio", "requirements.txt").await;
            let python = folder.path.join("bin/python");
            let mut works = Command::new(&python);
            works.args(["-c", "import nio"]);
            if folder.is_current && run(works, SOON).await.0 {
                return python;
            }
            folder.clear();
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&folder.path);
            let (made, output) = run(venv, SOON).await;
            assert!(
                made,
                "no venv can be made; `deploy/setup.sh tests` installs python3 and python3-venv:\n{output}"
            );
            let install = || {
                let mut pip = Command::new(&python);
                pip.args(["-m", "pip", "install", "--quiet", "--requirement"])
                    .arg(sources("nio").join("requirements.txt"));
                pip
            };
            folder.install(install).await;
            python
        })
        .await
}

/// The folder with matrix-js-sdk, its Node and our scripts, which must be beside them.
async fn node() -> &'static Path {
    static NODE: OnceCell<PathBuf> = OnceCell::const_new();
    NODE.get_or_init(|| async {
        let folder = Installation::begin("js", "package-lock.json").await;
        let mut works = Command::new(node_program(&folder.path));
        works.arg("--version");
        if !(folder.is_current && run(works, SOON).await.0) {
            folder.clear();
            let mut npm = Command::new("npm");
            npm.arg("--version");
            let (is_there, output) = run(npm, SOON).await;
            assert!(
                is_there,
                "npm does not run; `deploy/setup.sh tests` installs npm:\n{output}"
            );
            let install = || {
                let mut npm = Command::new("npm");
                // No script is needed, and Node itself comes as a package.
                npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .current_dir(&folder.path);
                npm
            };
            folder.copy_sources();
            folder.install(install).await;
        }
        folder.copy_sources();
        folder.path.clone()
    })
    .await
}

/// Node itself, which is a package, too; not every npm links it into `.bin`.
fn node_program(folder: &Path) -> PathBuf {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    folder.join(format!("node_modules/node-linux-{architecture}/bin/node"))
}

/// For a script: it gives up by itself long before.
const SCENARIO: Duration = Duration::from_mins(2);

/// For a program that has little to do.
const SOON: Duration = Duration::from_mins(1);

/// A folder below `target` with a client, which one process at a time looks after.
struct Installation {
    path: PathBuf,
    sources: PathBuf,
    /// What is to be installed; a copy of it is written when it is.
    pins: Vec<u8>,
    /// Just these are installed.
    is_current: bool,
    _turn: std::fs::File,
}

impl Installation {
    async fn begin(language: &str, pins: &str) -> Self {
        let clients = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("clients");
        std::fs::create_dir_all(&clients).unwrap();
        let turn = std::fs::File::create(clients.join(format!("{language}.lock"))).unwrap();
        let turn = tokio::task::spawn_blocking(|| turn.lock().map(|()| turn));
        let path = clients.join(language);
        let sources = sources(language);
        let pins = std::fs::read(sources.join(pins)).unwrap();
        let turn = turn.await.unwrap().unwrap();
        let is_current =
            std::fs::read(path.join("installed")).is_ok_and(|installed| installed == pins);
        Self {
            path,
            sources,
            pins,
            is_current,
            _turn: turn,
        }
    }

    fn clear(&self) {
        if self.path.exists() {
            std::fs::remove_dir_all(&self.path).unwrap();
        }
        std::fs::create_dir_all(&self.path).unwrap();
    }

    /// Everything but what npm may have put there when someone tried it by hand.
    fn copy_sources(&self) {
        for entry in std::fs::read_dir(&self.sources).unwrap() {
            let from = entry.unwrap().path();
            if from.is_file() {
                std::fs::copy(&from, self.path.join(from.file_name().unwrap())).unwrap();
            }
        }
    }

    /// Tries thrice: a registry may be away for a moment.
    async fn install(&self, command: impl Fn() -> Command) {
        let mut said = String::new();
        for _attempt in 0..3 {
            let (done, output) = run(command(), Duration::from_mins(5)).await;
            if done {
                return std::fs::write(self.path.join("installed"), &self.pins).unwrap();
            }
            said = output;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        panic!("the packages cannot be installed:\n{said}");
    }
}
