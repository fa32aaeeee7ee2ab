//! The client-server API.

mod conversation;
