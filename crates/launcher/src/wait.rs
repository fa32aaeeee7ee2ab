//! Waiting for something to become true.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::children::Children;

/// How long a start may take; a busy machine that builds at the same time is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again and again until the answer is `Ok(true)`.
///
/// # Errors
/// One of the processes `names` has died, an answer is an error, or it takes longer than `limit`:
/// then what was waited for, and the ends of the logs.
pub(crate) async fn until<F>(
    children: &Children,
    names: &[&str],
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let begin = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        for name in names {
            children.check(name)?;
        }
        if ask().await? {
            return Ok(());
        }
        if begin.elapsed() > limit {
            bail!(
                "{what}: not within {} s; the logs tell more",
                limit.as_secs()
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
