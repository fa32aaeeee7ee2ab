//! Who owns what.

use std::collections::BTreeMap;
use std::time::Duration;

use ganglion_launcher::{LocalCluster, ProcessFacts, Role};
use ganglion_model::Shard;
use ruma::RoomId;
use serde_json::json;
use tokio_postgres::Client;

use crate::sandbox::eventually;
use crate::user::User;

/// Longer than the least time that a shard is kept before it moves by itself, on a busy machine.
const SETTLED: Duration = Duration::from_secs(30);

/// The process that owns a room's shard, by instance; `None` while nobody does.
pub(crate) async fn owner_of(db: &Client, room: &str) -> Option<String> {
    let shard = Shard::of_room(&RoomId::parse(room).unwrap()).number();
    let query = "SELECT owner::text FROM shards WHERE shard = $1";
    db.query_one(query, &[&shard]).await.unwrap().get(0)
}

/// The running instances of a role, by name.
pub(crate) fn instances(cluster: &LocalCluster, role: Role) -> BTreeMap<String, String> {
    let of_role = |process: &ProcessFacts| process.role == role;
    let processes = cluster.facts().processes.into_iter().filter(of_role);
    processes
        .map(|process| (process.name, process.instance.to_string()))
        .collect()
}

/// The facts of one process.
pub(crate) fn process(cluster: &LocalCluster, name: &str) -> ProcessFacts {
    let facts = cluster.facts();
    let found = facts
        .processes
        .into_iter()
        .find(|process| process.name == name);
    found.unwrap_or_else(|| panic!("{name} does not run"))
}

/// How many shards of each family each owner has; those of nobody under "".
pub(crate) async fn shares(db: &Client) -> BTreeMap<(bool, String), i64> {
    let query = "SELECT shard < 32, coalesce(owner::text, ''), count(*) FROM shards WHERE shard < 64 GROUP BY 1, 2";
    let rows = db.query(query, &[]).await.unwrap();
    rows.iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect()
}

/// Waits until the running event-persisters, and nobody else, own all shards, of each family as
/// many as every other one, or one more.
pub(crate) async fn settled(db: &Client, cluster: &LocalCluster) {
    let persisters: Vec<_> = instances(cluster, Role::EventPersister)
        .into_values()
        .collect();
    let is_settled = async || {
        let shares = shares(db).await;
        [true, false].iter().all(|family| {
            let own: Vec<i64> = persisters
                .iter()
                .map(|who| shares.get(&(*family, who.clone())).copied().unwrap_or(0))
                .collect();
            let (least, most) = (own.iter().min().unwrap(), own.iter().max().unwrap());
            own.iter().sum::<i64>() == 32 && most - least <= 1
        })
    };
    assert!(
        eventually(SETTLED, is_settled).await,
        "{persisters:?}: {:?}",
        shares(db).await
    );
}

/// Makes rooms until each running event-persister owns `each` of them, no two of one shard; first
/// waits until the owners stay.
pub(crate) async fn rooms_of_all(
    db: &Client,
    cluster: &LocalCluster,
    creator: &User,
    each: usize,
) -> Vec<String> {
    // Whoever started first had all shards, and gives half of them up after the least time.
    settled(db, cluster).await;
    let mut wanted: BTreeMap<String, usize> = instances(cluster, Role::EventPersister)
        .into_values()
        .map(|instance| (instance, each))
        .collect();
    let mut rooms = Vec::new();
    let mut shards = Vec::new();
    while wanted.values().any(|left| *left > 0) {
        let room = creator
            .create_room(json!({"preset": "public_chat", "name": "talk"}))
            .await;
        let shard = Shard::of_room(&RoomId::parse(&room).unwrap());
        let owner = owner_of(db, &room).await.unwrap();
        let left = wanted.get_mut(&owner).unwrap();
        if *left > 0 && !shards.contains(&shard) {
            *left -= 1;
            shards.push(shard);
            rooms.push(room);
        }
    }
    rooms
}
