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
mod receipts;
mod refresh;
mod refusals;
mod relations;
mod room_state;
mod sdks;
mod summary;
mod sync;
mod sync_model;
mod threads;
mod timeline;
mod timestamps;
mod upgrade;
