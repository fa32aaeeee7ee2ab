//! How `ganglion down`, `scale` and `status` speak with the launcher of a folder: one line of JSON
//! each way on a Unix socket that only its user can reach.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::files;
use crate::folder::control_socket;
use crate::operations::MemberStatus;
use crate::role::Role;

/// What is asked of a launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// How every process stands.
    Status,
    /// End the cluster in good order.
    Down,
    /// Have this many of a role.
    Scale {
        /// The role.
        role: Role,
        /// How many.
        count: usize,
    },
}

/// What the launcher answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Why it was not done.
    pub error: Option<String>,
    /// How every process stands now.
    pub members: Vec<MemberStatus>,
}

/// A request that waits for its reply.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    reply: oneshot::Sender<Reply>,
}

impl Asked {
    /// Answers it; who asked may have gone.
    pub fn answer(self, reply: Reply) {
        if self.reply.send(reply).is_err() {
            tracing::debug!("nobody waits for the answer");
        }
    }
}

/// The launcher's end.
#[derive(Debug)]
pub struct Control {
    requests: mpsc::Receiver<Asked>,
}

impl Control {
    /// Listens in the folder of a cluster that this process has started.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(folder: &Path) -> anyhow::Result<Self> {
        let path = control_socket(folder)?;
        files::remove(&path)?;
        let listener =
            UnixListener::bind(&path).with_context(|| format!("listen on {}", path.display()))?;
        let (sender, requests) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, sender).await {
                        tracing::debug!(
                            error = format!("{error:#}"),
                            "a request was not understood"
                        );
                    }
                });
            }
        });
        Ok(Self { requests })
    }

    /// The next request. `None` never comes while the runtime lives.
    pub async fn next(&mut self) -> Option<Asked> {
        self.requests.recv().await
    }
}

async fn converse(stream: UnixStream, requests: mpsc::Sender<Asked>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let request = serde_json::from_str(&line)?;
    let (reply, answer) = oneshot::channel();
    requests
        .send(Asked { request, reply })
        .await
        .ok()
        .context("ending")?;
    let mut answer = serde_json::to_vec(&answer.await?)?;
    answer.push(b'\n');
    stream.write_all(&answer).await?;
    Ok(())
}

/// Asks the launcher that uses `folder` and waits for its answer.
///
/// # Errors
/// No launcher uses it, or it ends before it answers.
pub async fn ask(folder: &Path, request: &Request) -> anyhow::Result<Reply> {
    let path = control_socket(folder)?;
    let stream = UnixStream::connect(&path).await;
    let stream = stream.with_context(|| format!("no cluster runs in {}", folder.display()))?;
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    serde_json::from_str(&answer).context("the launcher ended before it answered")
}
