//! The endpoints, in groups; each is one file, whose path is its name in the specification.

mod account;
mod account_data;
mod admin;
mod aliases;
mod devices;
mod directory;
mod filters;
mod interactive;
mod notifications;
mod presence;
mod profile;
mod push_rules;
mod receipts;
mod reports;
mod room_reads;
mod room_writes;
pub(crate) mod rules;
mod server;
mod session;
mod sync;
mod tags;

use ganglion_http_kit::Routes;

use room_reads::visible_event;
pub(crate) use room_writes::{redaction_id, sending_id};

use crate::state::AppState;

/// All routes of this role: the balancer's rules are made from the same table.
pub(crate) fn all() -> Routes<AppState> {
    let mut routes = Routes::new();
    server::routes(&mut routes);
    session::routes(&mut routes);
    account::routes(&mut routes);
    admin::routes(&mut routes);
    reports::routes(&mut routes);
    devices::routes(&mut routes);
    profile::routes(&mut routes);
    presence::routes(&mut routes);
    account_data::routes(&mut routes);
    tags::routes(&mut routes);
    filters::routes(&mut routes);
    push_rules::routes(&mut routes);
    notifications::routes(&mut routes);
    aliases::routes(&mut routes);
    directory::routes(&mut routes);
    room_reads::routes(&mut routes);
    room_writes::routes(&mut routes);
    receipts::routes(&mut routes);
    sync::routes(&mut routes);
    routes
}
