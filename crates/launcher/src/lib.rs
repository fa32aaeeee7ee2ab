//! A whole cluster on one machine, in one folder: PostgreSQL with a streaming replica, Redis,
//! optionally PgBouncer, any number of each role, and HAProxy in front.
//!
//! `ganglion up` runs it for people, the integration tests run several at once. Everything that is
//! started dies with the process that started it, also when that is killed.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use ganglion_launcher::{LocalCluster, Options, Role};
//!
//! let mut cluster = LocalCluster::start(Options::new("/tmp/try", "target/debug")).await?;
//! println!("{}", cluster.facts().client_url_plain);
//! let third = cluster.add(Role::EventPersister).await?;
//! cluster.kill(&third).await?;
//! cluster.shutdown().await
//! # }
//! ```
//!
//! To add a role: a variant of [`Role`], its database user in a migration, and it is run, given a
//! certificate and, if `--routes` of its binary lists any, balanced.
#![warn(missing_docs)]

mod balancer;
mod certificates;
mod children;
mod cluster;
mod control;
mod database;
mod facts;
mod files;
mod folder;
mod haproxy;
mod leftovers;
mod migrations;
mod operations;
mod options;
mod pgbouncer;
mod ports;
mod postgres;
mod probe;
mod programs;
mod readiness;
mod redis;
mod role;
mod roles;
mod routes;
mod secrets;
mod spawner;
mod store_user;
mod stores;
mod supervise;
mod wait;

pub use cluster::LocalCluster;
pub use control::{Asked, Control, Reply, Request, ask};
pub use database::connect;
pub use facts::{Facts, HaproxyFacts, PostgresFacts, ProcessFacts};
pub use folder::{default_folder, in_use};
pub use migrations::{Applied, migrate};
pub use operations::MemberStatus;
pub use options::Options;
pub use role::Role;
pub use routes::{Rule, prefix_rules, role_of};
pub use secrets::signing_key_line;
pub use stores::Store;
