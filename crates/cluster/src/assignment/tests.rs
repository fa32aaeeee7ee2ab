use std::collections::HashMap;

use ganglion_model::Shard;
use proptest::prelude::*;
use uuid::Uuid;

use super::assign;

fn instances() -> impl Strategy<Value = Vec<Uuid>> {
    proptest::collection::hash_set(any::<u128>(), 1..40)
        .prop_map(|set| set.into_iter().map(Uuid::from_u128).collect())
}

fn moved(before: &[(Shard, Uuid)], after: &[(Shard, Uuid)]) -> usize {
    before.iter().zip(after).filter(|(a, b)| a.1 != b.1).count()
}

proptest! {
    #[test]
    fn every_shard_has_one_owner_and_nobody_two_more_than_another(instances in instances()) {
        for shards in [Shard::rooms().collect::<Vec<_>>(), Shard::users().collect()] {
            let owners = assign(&shards, &instances);
            prop_assert_eq!(owners.iter().map(|(s, _)| *s).collect::<Vec<_>>(), shards);
            let mut held: HashMap<Uuid, usize> = instances.iter().map(|i| (*i, 0)).collect();
            for (_, owner) in owners {
                *held.get_mut(&owner).unwrap() += 1;
            }
            let most = held.values().max().unwrap();
            let least = held.values().min().unwrap();
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn the_order_of_the_arguments_does_not_matter(instances in instances()) {
        let shards: Vec<Shard> = Shard::rooms().collect();
        let mut turned = instances.clone();
        turned.reverse();
        let mut turned_shards = shards.clone();
        turned_shards.reverse();
        prop_assert_eq!(assign(&shards, &instances), assign(&turned_shards, &turned));
    }

    #[test]
    fn one_instance_more_or_less_moves_few_shards(instances in instances(), other in any::<u128>()) {
        let shards: Vec<Shard> = Shard::rooms().collect();
        let mut more = instances.clone();
        more.push(Uuid::from_u128(other));
        let share = shards.len() / instances.len() + 1;
        // What the newcomer gets must move; the bounds push some others aside.
        let limit = 3 * share + instances.len().min(shards.len()) / 2;
        let count = moved(&assign(&shards, &instances), &assign(&shards, &more));
        prop_assert!(count <= limit, "{} of at most {}", count, limit);
    }
}

#[test]
fn nobody_there_owns_nothing() {
    assert!(assign(&Shard::rooms().collect::<Vec<_>>(), &[]).is_empty());
}
