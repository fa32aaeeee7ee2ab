//! What all handlers of one process share.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use ganglion_accounts::Accounts;
use ganglion_accounts::passwords::Passwords;
use ganglion_cluster::Commands;
use ganglion_cluster::rates::Rates;
use ganglion_config::Config;
use ganglion_model::{Clock, ServerSecret};
use ganglion_rooms::Rooms;
use ganglion_storage::Database;
use ganglion_sync::{Presence, SyncEngine, Typing};
use http::Method;
use ruma::OwnedServerName;

use crate::routes::rules::Rules;

/// The parts; a clone is the same.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Arc<Config>,
    pub(crate) server_name: OwnedServerName,
    pub(crate) secret: ServerSecret,
    pub(crate) clock: Clock,
    pub(crate) db: Database,
    pub(crate) rooms: Rooms,
    pub(crate) accounts: Accounts,
    pub(crate) passwords: Passwords,
    pub(crate) commands: Commands,
    pub(crate) sync: SyncEngine,
    pub(crate) typing: Typing,
    pub(crate) presence: Presence,
    pub(crate) rates: Rates,
    /// What holds for each endpoint, by method and path template.
    pub(crate) rules: HashMap<(Method, String), Rules>,
}

impl AppState {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
