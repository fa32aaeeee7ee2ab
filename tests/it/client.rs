//! The client-server API.

mod accounts;
mod aliases;
mod conversation;
mod directory;
mod forget;
mod knocking;
mod membership;
mod personal;
mod refusals;
mod room_state;
mod sdks;
mod summary;
mod sync;
mod timeline;
mod upgrade;
