//! Who should own which shard: bounded rendezvous, a pure function that every instance computes for
//! itself from the same view.

use ganglion_model::Shard;
use uuid::Uuid;

/// Gives each shard to one instance: deterministic, nobody has two more than another, and a change
/// of one instance moves few shards.
///
/// Pairs of shard and instance are taken in order of a hash of both, the highest first; nobody gets
/// more than `floor(S / N)` until all have that, then at most one each. Without instances nothing is
/// given. The order of the arguments does not matter; instances are without repetition.
#[must_use]
pub fn assign(shards: &[Shard], instances: &[Uuid]) -> Vec<(Shard, Uuid)> {
    if instances.is_empty() {
        return Vec::new();
    }
    let mut pairs: Vec<(u64, Shard, usize)> = shards
        .iter()
        .flat_map(|shard| {
            instances
                .iter()
                .enumerate()
                .map(|(i, uuid)| (score(*shard, *uuid), *shard, i))
        })
        .collect();
    // The uuid breaks ties, so that the order of the arguments does not.
    pairs.sort_unstable_by_key(|(score, shard, i)| {
        (
            std::cmp::Reverse(*score),
            *shard,
            instances.get(*i).copied(),
        )
    });
    let share = shards.len() / instances.len();
    let mut held = vec![0; instances.len()];
    let mut owners: Vec<(Shard, Uuid)> = Vec::with_capacity(shards.len());
    for bound in [share, share + 1] {
        for (_, shard, i) in &pairs {
            let (Some(held), Some(uuid)) = (held.get_mut(*i), instances.get(*i)) else {
                continue;
            };
            if *held < bound && !owners.iter().any(|(given, _)| given == shard) {
                *held += 1;
                owners.push((*shard, *uuid));
            }
        }
    }
    owners.sort_unstable_by_key(|(shard, _)| *shard);
    owners
}

/// The same on every instance and in every release: it decides who owns what.
fn score(shard: Shard, instance: Uuid) -> u64 {
    let (high, low) = instance.as_u64_pair();
    mix(high ^ mix(low ^ mix(u64::from(shard.number().unsigned_abs()) + 1)))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
