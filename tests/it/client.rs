//! The client-server API.

mod accounts;
mod aliases;
mod context;
mod conversation;
mod devices;
mod directory;
mod forget;
mod knocking;
mod membership;
mod passwords;
mod personal;
mod rate_limits;
mod refresh;
mod refusals;
mod relations;
mod room_state;
mod sdks;
mod summary;
mod sync;
mod threads;
mod timeline;
mod timestamps;
mod upgrade;
