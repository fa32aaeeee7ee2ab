//! Reading rooms: what is in them, who may see it, and how a client sees it.
//!
//! [`Rooms`] is the handle with this process's caches; a [`View`] is one request's moment in the
//! database, opened only if something has to be read there.
#![warn(missing_docs)]

pub mod access;
pub mod client_event;
mod entry;
mod erased;
mod event;
pub mod fields;
pub mod filter;
pub mod hierarchy;
pub mod ignored;
mod nearest;
mod notices;
mod page;
mod raw;
pub mod relations;
mod room;
pub mod space;
mod state;
mod summary;
mod view;
pub mod visibility;

pub use access::{Access, Entered};
pub use client_event::{Extras, Viewer};
pub use event::RoomEvent;
pub use page::{Page, PageRequest, Source};
pub use room::{RoomInfo, Rooms};
pub use state::StateAt;
pub use summary::Summary;
pub use view::View;
