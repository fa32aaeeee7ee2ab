//! Messages into many rooms at once.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Args;
use futures_util::future::try_join_all;

use crate::Target;
use crate::client::Client;
use crate::report::{Times, Used, print};

#[derive(Args)]
pub(crate) struct Sends {
    #[command(flatten)]
    target: Target,
    /// Rooms, each with one sender
    #[arg(long, default_value_t = 32)]
    rooms: usize,
    /// Messages under way at once in each room
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// How long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Sends {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (url, watch) = self.target.find()?;
        let mut rooms = Vec::new();
        for _ in 0..self.rooms {
            let client = Client::register(&url).await?;
            let room = client.create_room().await?;
            rooms.push((client, room));
        }
        let used = Used::start(watch);
        let began = Instant::now();
        let end = began + Duration::from_secs(self.seconds);
        let writers = rooms.iter().flat_map(|(client, room)| {
            (0..self.at_once).map(move |line| write(client, room, line, end))
        });
        let written = try_join_all(writers).await?;
        let took = began.elapsed().as_secs_f64();
        let cpu = used.print();
        let mut times = Times::default();
        let mut sent = vec![Vec::new(); self.rooms];
        for (index, (ids, took)) in written.into_iter().enumerate() {
            times.extend(took);
            if let Some(all) = sent.get_mut(index / self.at_once) {
                all.extend(ids);
            }
        }
        let count = f64::from(u32::try_from(times.count())?);
        times.print("sends");
        print(&format!(
            "  {:.0} per second, {:.0} per CPU second",
            count / took,
            count / cpu
        ));
        for ((client, room), sent) in rooms.iter().zip(sent) {
            verify(client, room, sent, self.at_once == 1).await?;
        }
        print("  every acknowledged event is there, once");
        Ok(())
    }
}

async fn write(
    client: &Client,
    room: &str,
    line: usize,
    end: Instant,
) -> anyhow::Result<(Vec<String>, Times)> {
    let (mut ids, mut times) = (Vec::new(), Times::default());
    while Instant::now() < end {
        let began = Instant::now();
        let txn = format!("{line}-{}", ids.len());
        ids.push(
            client
                .send(room, &txn, "a message of an ordinary length, more or less")
                .await?,
        );
        times.add(began.elapsed());
    }
    Ok((ids, times))
}

/// All that was acknowledged, exactly once, in order if there was one line of it.
async fn verify(
    client: &Client,
    room: &str,
    mut sent: Vec<String>,
    ordered: bool,
) -> anyhow::Result<()> {
    let mut found = client.messages(room).await?;
    if !ordered {
        sent.sort();
        found.sort();
    }
    ensure!(
        found.len() == sent.len(),
        "{room}: {} sent, {} found",
        sent.len(),
        found.len()
    );
    if found != sent {
        bail!("{room}: what is found is not what was sent");
    }
    Ok(())
}
