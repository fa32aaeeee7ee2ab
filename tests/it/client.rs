//! The client-server API.

mod accounts;
mod aliases;
mod context;
mod conversation;
mod devices;
mod directory;
mod erased;
mod forget;
mod ignored;
mod knocking;
mod membership;
mod passwords;
mod personal;
mod refresh;
mod refusals;
mod relations;
mod room_state;
mod sdks;
mod spaces;
mod summary;
mod sync;
mod tags;
mod threads;
mod timeline;
mod timestamps;
mod upgrade;
