//! Messages to members who wait in `/sync`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::task::JoinSet;

use crate::Target;
use crate::client::{Client, text};
use crate::report::{Times, Used, print};

#[derive(Args)]
pub(crate) struct Fanout {
    #[command(flatten)]
    target: Target,
    /// Members who wait
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Messages
    #[arg(long, default_value_t = 20)]
    messages: usize,
    /// Milliseconds between two messages
    #[arg(long, default_value_t = 500)]
    pause_ms: u64,
}

impl Fanout {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (url, watch) = self.target.find()?;
        let sender = Client::register(&url).await?;
        let room: Arc<str> = sender.create_room().await?.into();
        let mut readers = Vec::new();
        for _ in 0..self.members {
            let member = Client::register(&url).await?;
            member.join(&room).await?;
            readers.push(member);
        }
        let mut polls = JoinSet::new();
        for member in readers {
            let since = text(&member.sync(None, 0).await?, "next_batch")?;
            polls.spawn(read(member, since, room.clone(), self.messages));
        }
        let used = Used::start(watch);
        let mut sent = HashMap::new();
        let mut times = Times::default();
        for number in 0..self.messages {
            tokio::time::sleep(Duration::from_millis(self.pause_ms)).await;
            let began = Instant::now();
            let id = sender
                .send(&room, &number.to_string(), "to all of you")
                .await?;
            times.add(began.elapsed());
            sent.insert(id, began);
        }
        let mut delivered = Times::default();
        while let Some(read) = polls.join_next().await {
            let seen = read??;
            ensure!(
                seen.len() == sent.len(),
                "a member saw {} of {}",
                seen.len(),
                sent.len()
            );
            for (id, at) in seen {
                let began = sent.get(&id).context("an event that nobody sent")?;
                delivered.add(at.duration_since(*began));
            }
        }
        let cpu = used.print();
        times.print("sends");
        delivered.print("deliveries, from the sending to the reading");
        let count = f64::from(u32::try_from(delivered.count())?);
        print(&format!("  {:.0} deliveries per CPU second", count / cpu));
        Ok(())
    }
}

/// Reads until all messages are there; each with the moment it came.
async fn read(
    member: Client,
    mut since: String,
    room: Arc<str>,
    messages: usize,
) -> anyhow::Result<HashMap<String, Instant>> {
    let mut seen = HashMap::new();
    while seen.len() < messages {
        let news = member.sync(Some(&since), 30_000).await?;
        let at = Instant::now();
        since = text(&news, "next_batch")?;
        let events = &news["rooms"]["join"][&*room]["timeline"]["events"];
        for event in events.as_array().map(Vec::as_slice).unwrap_or_default() {
            if event["type"] == "m.room.message" {
                ensure!(
                    seen.insert(text(event, "event_id")?, at).is_none(),
                    "an event came twice"
                );
            }
        }
    }
    Ok(seen)
}
