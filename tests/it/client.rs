//! The client-server API.

mod accounts;
mod aliases;
mod conversation;
mod devices;
mod directory;
mod forget;
mod knocking;
mod membership;
mod passwords;
mod personal;
mod refresh;
mod refusals;
mod room_state;
mod sdks;
mod summary;
mod sync;
mod timeline;
mod upgrade;
