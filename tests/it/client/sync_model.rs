//! Client-server API, "Syncing": random histories against a model (`model/`).
//!
//! `GANGLION_MODEL_SEED=n` and `GANGLION_MODEL_HISTORIES=n` say which and how many; with
//! `GANGLION_MODEL_SHRINK=1` the steps of a history that fails are made fewer as long as it fails.
//! `make model` sets them.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::model::history::{Failure, STEPS, Stats, run};
use crate::sandbox::{Shared, shared};

/// Histories without being asked for more, and how long new ones are begun then.
const HISTORIES: u64 = 36;
const LONG_ENOUGH: Duration = Duration::from_secs(18);
/// How many run at once.
const AT_ONCE: usize = 6;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_what_the_history_makes_it() {
    let cluster = shared().await;
    let first = setting("GANGLION_MODEL_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let asked = setting("GANGLION_MODEL_HISTORIES");
    let count = asked.unwrap_or(HISTORIES);
    println!("seeds from {first}");
    let begun = tokio::time::Instant::now();
    let all: Vec<usize> = (0..STEPS).collect();
    let seeds = first..first + count;
    let seeds = seeds.take_while(|_| asked.is_some() || begun.elapsed() < LONG_ENOUGH);
    let mut run_count = 0;
    let runs = futures_util::stream::iter(seeds).map(|seed| {
        let all = &all;
        async move { (seed, Box::pin(run(cluster, seed, all)).await) }
    });
    let mut runs = Box::pin(runs.buffer_unordered(AT_ONCE));
    let mut total = Stats::default();
    let mut failures = Vec::new();
    while let Some((seed, outcome)) = runs.next().await {
        run_count += 1;
        match outcome {
            Ok(stats) => total.add(&stats),
            Err(failure) => {
                println!("seed {seed}, step {}:\n{}\n", failure.step, failure.text);
                failures.push((seed, failure));
            }
        }
    }
    println!("{run_count} histories in {:?}: {total:?}", begun.elapsed());
    if setting("GANGLION_MODEL_SHRINK").is_some()
        && let Some((seed, failure)) = failures.first()
    {
        let least = shrink(cluster, *seed, failure.clone()).await;
        println!("seed {seed}, the least that fails:\n{}", least.text);
    }
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    assert!(seeds.is_empty(), "seeds that fail: {seeds:?}");
}

/// Leaves out steps as long as the rest fails.
async fn shrink(cluster: &Shared, seed: u64, mut failure: Failure) -> Failure {
    let mut steps: Vec<usize> = (0..=failure.step).collect();
    let mut chunk = steps.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + chunk).min(steps.len()));
            match Box::pin(run(cluster, seed, &fewer)).await {
                Ok(_) => at += chunk,
                Err(found) => {
                    fewer.retain(|step| *step <= found.step);
                    (steps, failure) = (fewer, found);
                }
            }
        }
        chunk /= 2;
    }
    failure
}
