//! The client-server API.

mod accounts;
mod context;
mod conversation;
mod membership;
mod personal;
mod refusals;
mod relations;
mod room_state;
mod sdks;
mod sync;
mod threads;
mod timeline;
mod timestamps;
